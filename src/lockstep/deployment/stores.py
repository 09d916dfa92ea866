"""From the addresses of a deployment's stores to the stores."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep.model.addresses import StoreAddress
from lockstep.model.raid import RaidMode
from lockstep.objects.open import open_store
from lockstep.objects.raid_modes import open_raid
from lockstep.objects.store import ObjectStore


def open_stores(addresses: Sequence[StoreAddress], *, raid: RaidMode | None = None, strict: bool = False) -> dict[str, ObjectStore]:
    """The stores by their names; the nodes of a RAID, in node order, are one of them, `main`. Nothing is sent yet.

    `strict` is for what is restored into: an object of a RAID is there only when it is whole on every node.
    """
    stores = {address.name: open_store(address) for address in addresses}
    if raid is None:
        return stores
    return {"main": open_raid(raid, list(stores.values()), strict=strict)}
