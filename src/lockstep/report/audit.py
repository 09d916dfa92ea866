"""What an audit found, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from lockstep.model.audit import Affected, AuditResult, Group, KeptSide, NodeAudit
from lockstep.report.units import as_bytes, as_count, as_counted, as_duration

GROUPS_SHOWN = 10

WORDS: Mapping[str, str] = {
    "lost": "nowhere in the bucket",
    "older_key": "under the key of an older server",
    "older_version": "as an older version, in the bucket's history",
    "wrong_size": "of another size",
}


def as_document(result: AuditResult) -> Mapping[str, object]:
    """The JSON of CLI.md, and behind it what else is known."""
    return {
        "consistent": result.consistent,
        "referenced": result.referenced,
        "present": result.present,
        "missing": _affected(result.missing),
        "mismatched": _affected(result.mismatched),
        "orphans": asdict(result.orphans),
        "seconds": round(result.seconds, 3),
        "referenced_bytes": result.referenced_bytes,
        "purged": asdict(result.purged),
        "in_flight": asdict(result.in_flight),
        "classes": dict(result.classes),
        "recoverable": result.recoverable,
        "breakdown": {name: [_group(group) for group in groups] for name, groups in result.breakdown.items()},
        "database": result.database,
        "stores": dict(result.stores),
        "profile": result.profile,
        "started": result.started,
        "requests": asdict(result.requests),
        "peak_rss": result.peak_rss,
        "repository": _kept(result.kept) if result.kept else None,
        "nodes": [asdict(node) for node in result.nodes],
    }


def as_text(result: AuditResult) -> str:
    """A few lines: the verdict, the two sides, and what is affected."""
    verdict = "consistent" if result.consistent else "NOT consistent"
    referenced = f"{as_counted(result.referenced, 'object')} ({as_bytes(result.referenced_bytes)})"
    lines = [
        f"the deployment is {verdict} ({as_duration(result.seconds)})",
        f"  referenced  {referenced}, {as_count(result.present)} present",
    ]
    if result.missing.count:
        lines += _words("missing", result.missing)
        lines += [f"    {as_count(count)} {WORDS[why]}" for why, count in result.classes.items() if why != "lost"]
    if result.mismatched.count:
        lines += _words("mismatched", result.mismatched)
    if result.kept and not result.consistent:
        lines += _kept_words(result.kept)
    if result.orphans.count:
        orphans = f"{as_counted(result.orphans.count, 'object')} ({as_bytes(result.orphans.bytes)})"
        lines.append(f"  orphans     {orphans} that no row references: harmless, and left alone")
    if result.purged.count:
        lines.append(f"  purged      {as_counted(result.purged.count, 'object')} lost their rows while the audit ran")
    if result.in_flight.count:
        lines.append(f"  in flight   {as_counted(result.in_flight.count, 'object')} stored while the audit ran, without a row yet")
    return "\n".join([*lines, *map(node_as_text, result.nodes)])


def node_as_text(node: NodeAudit) -> str:
    """One line: a node of a RAID and what is wrong with it."""
    faults = [f"{as_count(count)} {word}" for count, word in ((node.missing, "missing"), (node.mismatched, "of another size")) if count]
    verdict = f"unreachable: {node.unreachable}" if node.unreachable else ", ".join(faults) or "whole"
    orphans = f", {as_counted(node.orphans, 'orphan')}" if node.orphans else ""
    return f"  {node.mode} node {node.node} ({node.url})  {verdict}{orphans}"


def _kept(kept: KeptSide) -> Mapping[str, object]:
    return {
        "url": kept.url,
        "newest": kept.newest,
        "copied": asdict(kept.copied),
        "since": [_group(group) for group in kept.since],
        "unknown": asdict(kept.unknown),
    }


def kept_facts(kept: KeptSide) -> Iterator[tuple[int, str]]:
    """How many findings, and what the repository says of them."""
    if kept.copied.count:
        yield kept.copied.count, "in the repository: 'lockstep repair' can put them back"
    for group in kept.since:
        yield group.count, f"missing since the snapshot {group.labels['since']} at the latest"
    if kept.unknown.count:
        yield kept.unknown.count, "in no snapshot yet, neither kept nor missed"


def _kept_words(kept: KeptSide) -> Iterator[str]:
    yield "  of these"
    yield from (f"    {as_count(count)} {words}" for count, words in kept_facts(kept))


def _affected(affected: Affected) -> Mapping[str, object]:
    groups = [_group(group) for group in affected.groups]
    return {"count": affected.count, "bytes": affected.bytes, "sample": list(affected.sample), "groups": groups}


def _group(group: Group) -> Mapping[str, object]:
    return {**group.labels, "count": group.count, "bytes": group.bytes}


def _words(word: str, affected: Affected) -> Iterator[str]:
    yield f"  {word:<10}  {as_counted(affected.count, 'object')} ({as_bytes(affected.bytes)}):"
    for group in affected.groups[:GROUPS_SHOWN]:
        labels = ", ".join(f"{name} {value}" for name, value in group.labels.items())
        yield f"    {labels}: {as_counted(group.count, 'object')} ({as_bytes(group.bytes)})"
    if len(affected.groups) > GROUPS_SHOWN:
        yield f"    and {as_counted(len(affected.groups) - GROUPS_SHOWN, 'more group')}"
    if not affected.groups:
        yield from (f"    {key!r}" for key in affected.sample[:GROUPS_SHOWN])
