"""What an object storage answers when it will not -> an error with cause and remedy.

The text of a foreign error is never passed on: it holds addresses with signatures, headers and
answers with key ids. Of it are taken a status, the code that S3 calls the fault by, its kind, and
the key that it can make no path of.
"""

from __future__ import annotations

import platform
import re

from obstore import exceptions as foreign

from pathassets.adapters.objects.urls import WEB
from pathassets.core.text import quoted
from pathassets.errors import (
    KeyUnreadable,
    ObjectChanged,
    ObjectMissing,
    PathAssetsError,
    StorageUnavailable,
    StoreError,
)

FOREIGN = (foreign.BaseError, OSError, ValueError)
"""What the functions of obstore raise."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{3,40})</Code>")
_UNREMOVED = re.compile(r'DeleteFailed \{\s*path: "((?:[^"\\]|\\.)*)",\s*code: "([A-Za-z]{3,40})"')
"""Why an object stays, where the answer as a whole is 200."""
_KEY = re.compile(r'Path "(.{1,1024}?)"(?: contained|: )', re.DOTALL)
"""Of an object whose name stops a listing."""
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_NO_OBJECT = "NoSuchKey"
_PASSING = ("InternalError", "SlowDown", "ServiceUnavailable")
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google")
"""Where a machine of a cloud is asked for credentials once nothing else gave any."""
_NOBODY = (
    *_METADATA,
    *("MissingAccount", "MissingAccessKeyId", "MissingSecretAccessKey", "credential"),
)
_WRONG_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
_LOG_IN = (
    'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (of a profile: eval "$(aws configure '
    'export-credentials --format env)"), GOOGLE_APPLICATION_CREDENTIALS, or '
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
)
_OF_STORE, _OF_SLIDES = "read, list, write and delete", "read and list"
_GRANT = "Grant these credentials what they need there ({rights})"
_LOOK = (
    "Look whether the keys are right and not expired; then grant them what they need there "
    "({rights})"
)
"""Of an answer that says no more than no, as every one to HEAD."""
_DENIED = "AccessDenied"
_ARCHIVED, _SKEWED = ("InvalidObjectState", "BlobArchived"), "RequestTimeTooSkewed"
_REGION = "Set AWS_REGION to the region of the bucket"
_REDIRECTED = "redirect without LOCATION"
_ELSEWHERE = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_NO_TLS, _NO_TRUST = "InvalidContentType", "InvalidCertificate"
"""As rustls calls them."""
_WITHOUT_LOGIN = "Copy the file here, or serve it without a login"
_N_BAD, _N_UNKNOWN, _N_REFUSED, _N_SHORTER, _N_BUSY, _N_BROKEN = 400, 401, 403, 416, 429, 500
_LACKING, _LACKED = (501, 505), "NotImplemented"
"""Of statuses from 500 on those that no second try changes. Source: RFC 9110, 15.6."""
_WEB_REFUSALS = {_N_UNKNOWN: "asks for a login (401)", _N_REFUSED: "refuses it (403)"}
_N_KEY_CHARS = 1_100
"""No key is longer."""


def trouble_of(
    error: Exception, url: str, root: str, *, is_only_read: bool = False
) -> PathAssetsError:
    """What an error of obstore means, told of an object or of the bucket that it should be in.

    Args:
        error: As obstore raised it.
        url: Of the object or folder.
        root: Of its bucket.
        is_only_read: Whether nothing is ever written there.
    """
    said = str(error)
    code = next(iter(_CODE.findall(said)), "")
    status = int(next(iter(_STATUS.findall(said)), 0))
    if code in _NO_BUCKET:
        return ObjectMissing(
            root, "there is no such bucket", remedy="Make it, or mend its name or the endpoint"
        )
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(url, "is not there", remedy="Look whether it was removed or renamed")
    if (untrusted := _of_tls(str(error), url)) is not None:
        return untrusted
    if root.partition(":")[0] in WEB:
        return _of_web(error, status, url) or _of_answer(error, code, status, url)
    for key, reason in _UNREMOVED.findall(said):
        return _unremoved(reason, f"{root}/{key}", root)
    rights = _OF_SLIDES if is_only_read else _OF_STORE
    of_who_asks = None if code in _ARCHIVED else _of_who_asks(error, code, status, root, rights)
    return of_who_asks or _of_answer(error, code, status, url)


def _of_web(error: Exception, status: int, url: str) -> PathAssetsError | None:
    """What only a web server answers, which is asked without credentials."""
    if status in _WEB_REFUSALS:
        return StoreError(url, f"the server {_WEB_REFUSALS[status]}", remedy=_WITHOUT_LOGIN)
    if isinstance(error, foreign.NotSupportedError):
        return StoreError(
            url,
            "the server does not send parts of a file (HTTP ranges), which are needed",
            remedy="Copy the file here, or put it on a server that does, or into a bucket (s3://)",
        )
    return None


def _of_who_asks(
    error: Exception, code: str, status: int, root: str, rights: str
) -> PathAssetsError | None:
    """What is wrong with the credentials, where they are at fault."""
    if code in _WRONG_KEYS or status == _N_UNKNOWN:
        return StoreError(root, f"does not know these credentials{_called(code)}", remedy=_LOG_IN)
    if code == _SKEWED:
        said = f"takes the clock of {platform.node()} for wrong{_called(code)}"
        return StoreError(root, said, remedy="Set this machine's clock, best by NTP")
    if any(place in str(error) for place in _NOBODY):
        said = f"there are no credentials for it on {platform.node()}"
        return StoreError(root, said, remedy=f"{_LOG_IN}; of a cluster on each node")
    if isinstance(error, foreign.PermissionDeniedError | PermissionError) or status == _N_REFUSED:
        remedy = (_GRANT if code == _DENIED else _LOOK).format(rights=rights)
        return StoreError(root, f"refuses this to these credentials{_called(code)}", remedy=remedy)
    return None


def _of_object(error: Exception, code: str, status: int, url: str) -> PathAssetsError | None:
    """What is so with the object alone."""
    if isinstance(error, foreign.PreconditionError) or status == _N_SHORTER:
        return changed(url)
    if code in _ARCHIVED:
        return StoreError(
            url,
            f"lies in an archive{_called(code)}, from which nothing is read at once",
            remedy="Restore it there for as long as the work takes, then do this again; of an "
            "inbox: pathassets inbox retry",
        )
    if isinstance(error, foreign.InvalidPathError):
        return _unreadable_key(next(iter(_KEY.findall(str(error))), ""), url)
    return None


def _of_answer(error: Exception, code: str, status: int, url: str) -> PathAssetsError:
    if (of_object := _of_object(error, code, status, url)) is not None:
        return of_object
    if isinstance(error, foreign.NotSupportedError) or status in _LACKING or code == _LACKED:
        answer = f": it answered {status}{_called(code)}" if status else ""
        return StoreError(
            url,
            f"the storage lacks what this needs (HTTP ranges, conditional writes){answer}",
            remedy="Use another storage, or ask who keeps this one",
        )
    if _REDIRECTED in str(error) or code in _ELSEWHERE:
        return StoreError(url, "is in another region, or at another endpoint", remedy=_REGION)
    if status in {0, _N_BUSY} or status >= _N_BROKEN:
        return _unavailable(error, code, status, url)
    ask = "Ask who keeps the server"
    if status == _N_BAD and not code:  # S3's answer to HEAD, to expired keys and elsewhere
        ask = "Look whether the keys have expired, and at AWS_REGION; else ask who keeps the server"
    return StoreError(url, f"the server answered {status}{_called(code)}", remedy=ask)


def _unremoved(code: str, url: str, root: str) -> StoreError:
    """What is said of an object that stays, of those that were to be removed by one request."""
    if code == _DENIED:
        said = f"lets these credentials remove nothing{_called(code)}"
        return StoreError(root, said, remedy=_GRANT.format(rights=_OF_STORE))
    if code == _NO_OBJECT:
        return ObjectMissing(url, "is not there")
    if code in _PASSING:
        return _busy(f"answered {code}", url)
    return StoreError(
        url, f"cannot be removed: the server answered {code}", remedy="Ask who keeps the server"
    )


def _of_tls(said: str, url: str) -> StoreError | None:
    """What is wrong with the secure connection, where that is at fault."""
    if _NO_TLS in said:
        remedy = f"Write http:// in place of https:// in the {_looked_at(url)}"
        return StoreError(url, "the server does not speak TLS there", remedy=remedy)
    if _NO_TRUST in said:
        return StoreError(
            url,
            "the server's certificate is not one that this machine trusts",
            remedy="Mend it, or let the machine trust who issued it (SSL_CERT_FILE names the file)",
        )
    return None


def _unreadable_key(key: str, url: str) -> KeyUnreadable:
    trouble = KeyUnreadable(
        url,
        f"the object {quoted(key or url, _N_KEY_CHARS)} has a name that no file can have, and what "
        "is listed with it cannot be read",
        remedy="Rename or remove that object",
    )
    trouble.key = key
    return trouble


def changed(url: str) -> ObjectChanged:
    """What is said of an object that is not the one any more that was begun to be read."""
    return ObjectChanged(url, "was changed while it was read", remedy="Run it again")


def is_panic(error: BaseException) -> bool:
    """Whether obstore gave up on what it cannot make a request of, by what is no Exception."""
    return type(error).__name__ == "PanicException"


def unaskable(url: str) -> StoreError:
    """What is said where no request can be made."""
    return StoreError(url, "cannot be asked for so", remedy="Mend the URL, or the endpoint's")


def _unavailable(error: Exception, code: str, status: int, url: str) -> PathAssetsError:
    if not isinstance(error, foreign.BaseError) and isinstance(error, ValueError):
        return unaskable(url)
    answer = f"answered {status or code}{_called(code if status else '')}"
    return _busy(answer if status or code else "does not answer", url)


def _busy(said: str, url: str) -> StorageUnavailable:
    return StorageUnavailable(
        url,
        f"the server {said}, tried several times",
        remedy=f"Look at the network and the {_looked_at(url)}, and run it again",
    )


def _looked_at(url: str) -> str:
    """By what the server is named, with which it may be the wrong one."""
    scheme = url.partition(":")[0]
    if scheme in WEB:
        return "URL"
    return "endpoint (AWS_ENDPOINT_URL)" if scheme == "s3" else "name of the bucket"


def _called(code: str) -> str:
    return f" ({code})" if code else ""
