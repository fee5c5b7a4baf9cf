"""`python -m vecdb_client.cli` is the same program as `vecdb`."""

import sys

from vecdb_client.cli.main import main

sys.exit(main())
