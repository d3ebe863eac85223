"""The Message Batches API as batchnb needs it: the only room that imports ``anthropic``.

Imports errors, units, stats and system.

The SDK keeps authentication, base URL, proxies, TLS and time-outs. Five things are done differently from its own batch
methods, each for a reason measured against anthropic 2.12.0:

- no retries by the SDK on create: the call has no idempotency key, so a retry can make the batch twice;
- results are read from the base URL by batch id: ``results_url`` would be followed, key and all, to any host;
- redirects are not followed, for the same reason;
- result lines are given as raw bytes: the SDK's decoder loses whole lines already received when a connection drops;
- every answer is checked for the simulator's header, so that a simulated answer cannot be taken for a real one.

Every failure leaves here as an :class:`~batchnb.errors.ApiError` or :class:`~batchnb.errors.CredentialsError`.
"""
