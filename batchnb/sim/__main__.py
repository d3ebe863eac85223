"""``python -m batchnb.sim``."""

from batchnb.sim.cli import main

raise SystemExit(main())
