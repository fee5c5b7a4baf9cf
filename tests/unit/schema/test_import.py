import subprocess
import sys

import vecdb


def test_importing_the_schema_loads_no_heavy_library() -> None:
    # An empty parent package: what the real one imports is not the schema's affair.
    code = (
        f"import types; parent = types.ModuleType('vecdb'); parent.__path__ = {list(vecdb.__path__)!r};"
        "sys.modules['vecdb'] = parent;"
        "import vecdb.schema as s; s.Schema(id=s.Id(), e=s.Vector(3)).to_json();"
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'polars', 'numba', 'orjson') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
