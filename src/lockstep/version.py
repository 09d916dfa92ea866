"""The version of lockstep, said once: the build reads it from here, manifests and `--version` too."""

from __future__ import annotations

__version__ = "0.1.0"
