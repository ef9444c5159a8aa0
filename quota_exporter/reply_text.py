"""Text that others wrote, reduced to what may be shown to people."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 64
_MAX_MESSAGE = 200
_MAX_READ = 1024  # more of a reply's text is never looked at, so it is never shown either
_MAX_ID = 1 << 63

# A name that happens to share this many characters with the key is rare, a piece of the key is not.
_KEY_PIECE = 8
_MIN_CONTAINED = 6
_MIN_END = 4  # as many characters of a key's end as gateways show of it

_SECRETS = re.compile(
    r"""
    (?<![a-z0-9])(?:
        (?:sk|pk|rk|ak|csk|gsk|sess|xai|pplx|nvapi|glpat|xox[abeoprs]|fw|hf|r8|vck|tgp|github_pat|gh[oprsu])[-_][a-z0-9*.]
        | aiza[\w-]{6} | eyj[\w-]{6} | ya29\. | a[ks]ia[a-z0-9]{16}
        | (?:bearer|basic)\s+\S{8}
    )
    | [0-9a-f]{16}                                          # a hash, a hexadecimal key
    | [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}       # a UUID
    | (?:[0-9a-f]{2}:){7}                                   # a fingerprint
    | \S@\S                                                 # an e-mail address
    | ://                                                   # a URL
    | (?=[a-z]*[0-9])[a-z0-9]{32}                           # too long for a name with a number
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# A key of which only the ends are shown: sk-...IAAw, ****1c96, abcd••••, XXXX1234.
_BULLETS = r"[\u2022\u25cf\u25cb\u00b7\u2219\u22c5\u2588\u25a0\u25aa]"
_MASK = rf"(?:\.{{2,}}|\*{{2,}}|x{{4,}}|\#{{3,}}|-{{4,}}|_{{4,}}|{_BULLETS}{{2,}}|\u22ef)"
_MASKED = re.compile(rf"[a-z0-9]-?{_MASK}|{_MASK}-?[a-z0-9]", re.IGNORECASE | re.ASCII)

_NAMES_OF_SECRETS = re.compile(r"password|passwd|secret|credential|authorization|cookie|api_?key|token$", re.IGNORECASE)

_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]")
_CHANGES_PER_CHARACTER = 0.25


def names_secret(name: str) -> bool:
    """Whether a member of this name holds a secret, whatever that looks like."""
    return _NAMES_OF_SECRETS.search(name) is not None


def clean_text(value: object, secrets: tuple[str, ...]) -> str | None:
    """Return text (or a whole number) of a reply as it may stand in a label, or None when it may not.

    At most 64 characters without control, format, private or unassigned ones. None when nothing is left, or
    when it shows or masks one of `secrets`, or looks like a key, a hash, an id, an e-mail address or a URL.
    """
    return _clean(value, secrets, MAX_NAME)


def clean_message(value: object, secrets: tuple[str, ...]) -> str | None:
    """Return a reply's error message as `clean_text` does, but up to 200 characters long."""
    return _clean(value, secrets, _MAX_MESSAGE)


def _clean(value: object, secrets: tuple[str, ...], max_length: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_ID:
        value = str(value)
    if not isinstance(value, str):
        return None
    text = _visible(value[:_MAX_READ])
    plain = _plain(text)
    if _SECRETS.search(plain) or _MASKED.search(plain) or _has_random_token(plain):
        return None
    if any(_shows(plain, secret) for secret in secrets):
        return None
    return text[:max_length].rstrip() or None


def _visible(text: str) -> str:
    """Make each run of white space one space; drop control, bidi, private and unassigned characters.

    Letters with accents get one form (NFC): two names that look alike are one.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    composed = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if character.isspace() else character for character in composed)
    return " ".join("".join(c for c in spaced if not unicodedata.category(c).startswith("C")).split())


def _plain(text: str) -> str:
    """Undo what makes text look like other text: full-width letters, ligatures, typographic dashes."""
    if text.isascii():
        return text
    normal = unicodedata.normalize("NFKC", text)
    return "".join("-" if unicodedata.category(character) == "Pd" else character for character in normal)


def _has_random_token(text: str) -> bool:
    """Whether a long token changes between cases and digits as often as base64 does and no name does."""
    return any(len(_CHANGE.findall(token)) >= len(token) * _CHANGES_PER_CHARACTER for token in _TOKEN.findall(text))


def _shows(text: str, secret: str) -> bool:
    if not secret:
        return False
    shown, secret = text.casefold(), _plain(secret).casefold()
    if secret in shown or (len(shown) >= _MIN_CONTAINED and shown in secret):
        return True
    if len(shown) >= _MIN_END and (secret.startswith(shown) or secret.endswith(shown)):
        return True
    # Letters and digits alone: a key is still a key with spaces or dashes in between.
    shown, secret = (re.sub(r"[^a-z0-9]", "", part) for part in (shown, secret))
    return any(shown[start : start + _KEY_PIECE] in secret for start in range(len(shown) - _KEY_PIECE + 1))
