"""Replaces known secrets in text on its way out: the last line of defence, behind code that never puts one there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

MASK = "***"

# From this length on a secret is replaced wherever it stands, shorter ones only as whole words: "sk" is a key and half of "disk".
ANYWHERE_LENGTH = 8
# Shorter ones, and those that equal a public name ("parsec"), are replaced only where a password stands.
WORD_LENGTH = 3

_URL_PASSWORD = re.compile(r"(?P<before>://[^/\s:@'\"]*:)(?P<secret>[^@\s'\"]+)(?=@)")
_SETTING = re.compile(r"""(?P<before>\b(?:ssl)?password\s*=\s*)(?P<secret>'(?:[^'\\]|\\.)*'|[^\s'"&*][^\s&]*)""", re.IGNORECASE)
_POSITION = r"(?P<before>(?:(?:password|secret|secret_access_key|token|PGPASSWORD)['\"]?\s*[:=]\s*['\"]?))"


class Redactor:
    """Knows the secrets of this run and takes them out of text."""

    def __init__(self, secrets: Iterable[str] = (), *, public: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._public: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        self.learn(secrets, public=public)

    def learn(self, secrets: Iterable[str], *, public: Iterable[str] = ()) -> None:
        """Take out these secrets from now on. `public` are names that may be shown although a password equals one of them."""
        self._secrets.update(secret for secret in secrets if secret)
        self._public.update(public)
        # The longest first: a secret may be a part of another.
        ordered = sorted(self._secrets, key=lambda secret: (-len(secret), secret))
        self._patterns = [self._pattern(secret) for secret in ordered]

    def redact(self, text: str) -> str:
        """The text with `***` in the place of every secret; passwords in URLs and connection strings go even when unknown."""
        for pattern in self._patterns:
            text = pattern.sub(_masked, text)
        return _SETTING.sub(_masked, _URL_PASSWORD.sub(_masked, text))

    def redact_value(self, value: object) -> object:
        """A value of JSON with its texts redacted."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {key: self.redact_value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.redact_value(item) for item in value]
        return value

    def _pattern(self, secret: str) -> re.Pattern[str]:
        text = re.escape(secret)
        if secret in self._public or len(secret) < WORD_LENGTH:
            return re.compile(rf"{_POSITION}{text}(?!\w)", re.IGNORECASE)
        if len(secret) < ANYWHERE_LENGTH:
            return re.compile(rf"(?<!\w){text}(?!\w)")
        return re.compile(text)


def _masked(match: re.Match[str]) -> str:
    return f"{match.groupdict().get('before') or ''}{MASK}"


class _RedactedStream:
    """A text stream that redacts what is written; everything else is the stream's own."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def redacted_stderr(redactor: Redactor) -> Iterator[None]:
    """Let nothing reach standard error that `redactor` takes out, whoever writes it; the stream is put back afterwards."""
    original = sys.stderr
    sys.stderr = cast(TextIO, _RedactedStream(original, redactor))
    try:
        yield
    finally:
        sys.stderr = original
