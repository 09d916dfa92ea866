"""Collects everything that is wrong with a configuration, so that one run reports all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lockstep.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: a message and a hint in the form that `LockstepError` asks for."""

    message: str
    hint: str


@dataclass(slots=True)
class Faults:
    """The faults found so far, in the order in which they were found; the same message counts once."""

    found: list[Fault] = field(default_factory=list)

    def add(self, message: str, *, hint: str) -> None:
        """Remember a fault and go on."""
        fault = Fault(message, hint)
        if all(known.message != message for known in self.found):
            self.found.append(fault)

    def take(self, error: ConfigurationError) -> None:
        """Remember the faults of an error that another part of the configuration raised."""
        for fault in faults_of(error):
            self.add(fault.message, hint=fault.hint)

    def check(self) -> None:
        """Raise one ConfigurationError with everything that was found, or do nothing."""
        if self.found:
            raise FaultyConfiguration(self.found)


class FaultyConfiguration(ConfigurationError):
    """One or more faults: the messages joined, the hint of the first."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.message for fault in self.faults), hint=self.faults[0].hint)


def faults_of(error: ConfigurationError) -> tuple[Fault, ...]:
    """The single faults behind an error, at least one."""
    if isinstance(error, FaultyConfiguration):
        return error.faults
    return (Fault(error.message, error.hint),)
