"""How much longer than usual the models run: 1, or VECDB_MODEL_SCALE for a long run before a release."""

import os

MODEL_SCALE = int(os.environ.get("VECDB_MODEL_SCALE") or 1)
