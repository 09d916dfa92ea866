"""What no tool can undercut: the GETs that the store can serve, asked for by wrk with signed URLs."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

from deployments import Deployment, Place, plan_chunk
from peers import Way

SECONDS = 5
_SIGNED = 2_000
"""How many URLs are signed: enough that no cache of one object is measured."""

_SCRIPT = """
local paths = {}
for line in io.lines("%s") do paths[#paths + 1] = line end
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at])
end
"""


def most_gets(place: Place, deployment: Deployment, work: Path) -> list[Way]:
    """The time in which the store serves as many GETs as the deployment has objects; nothing where wrk is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        print("wrk is not installed: the floor of GETs is left out", file=sys.stderr)
        return []
    client, paths, script = place.store.client(), work / "wrk.paths", work / "wrk.lua"
    keys = [row.key for row in plan_chunk(0, deployment.shape.name)][:_SIGNED]
    urls = [client.generate_presigned_url("get_object", Params={"Bucket": deployment.bucket, "Key": key}) for key in keys]
    paths.write_text("\n".join(url.removeprefix(place.store.endpoint_url) for url in urls), encoding="utf-8")
    script.write_text(_SCRIPT % paths, encoding="utf-8")
    command = shlex.join([wrk, "-t2", "-c32", f"-d{SECONDS}s", "-s", str(script), place.store.endpoint_url])

    def seconds_in(output: str) -> float:
        found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
        if found is None or "Non-2xx" in output:
            raise ValueError(f"wrk did not measure: {output}")
        return deployment.shape.objects / float(found[1])

    return [Way("GETs alone (wrk)", f"2 threads, 32 connections, {SECONDS} s", command, floor=True, seconds_in=seconds_in)]
