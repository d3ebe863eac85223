"""What batchnb costs its user's machine, beside the SDK's own loop; see README.md. Never part of the tests."""
