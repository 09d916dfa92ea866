"""Write docs/reference/manifest.schema.json anew, after the manifest's model was changed."""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import json
from pathlib import Path

from lockstep.repository.manifest import manifest_schema

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "manifest.schema.json"

if __name__ == "__main__":
    TARGET.write_text(json.dumps(manifest_schema(), indent=2) + "\n", encoding="utf-8")
