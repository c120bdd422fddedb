"""The documented import names belong to the vendor's own packages too: who owns them in this environment.

pip lets two distributions overwrite each other's files without a word. ``ranvier-radiens`` therefore refuses to import
beside a vendor distribution, and where the vendor's came last and replaced its files, this module finds them.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import PackageNotFoundError as NotInstalledError
from importlib.metadata import PackagePath, distribution

#: Our distribution of the documented import names.
OWN_DISTRIBUTION = "ranvier-radiens"
#: The vendor's distributions that own the same import names.
VENDOR_DISTRIBUTIONS = ("radiens-core", "radiens")


def vendor_distributions() -> list[str]:
    """Return the names of the vendor's distributions that are installed here."""
    return [name for name in VENDOR_DISTRIBUTIONS if _is_installed(name)]


def overwritten_files() -> list[str]:
    """Return the files of ``ranvier-radiens`` that are no longer what it installed: changed or gone.

    Paths are relative to the site-packages folder. Empty where it is not installed, or installed in place (editable).
    """
    try:
        files = distribution(OWN_DISTRIBUTION).files or []
    except NotInstalledError:
        return []
    return [str(file) for file in files if not _is_intact(file)]


def report() -> str:
    """Return what is wrong with the documented import names in this environment, in a sentence or two, or ""."""
    sentences = []
    vendors = vendor_distributions()
    if vendors and _is_installed(OWN_DISTRIBUTION):
        sentences.append(
            f"clash: {OWN_DISTRIBUTION} and the vendor's {' and '.join(vendors)} are both installed and own the same "
            f"import names; uninstall one of them."
        )
    changed = overwritten_files()
    if changed:
        sentences.append(
            f"clash: {len(changed)} files of {OWN_DISTRIBUTION} were replaced or removed (first: {changed[0]}); "
            f"reinstall it after uninstalling the other."
        )
    return " ".join(sentences)


def refuse_beside_vendor(package: str) -> None:
    """Raise ImportError where a vendor distribution is installed; ``package`` is what was imported."""
    vendors = vendor_distributions()
    if vendors:
        raise ImportError(
            f"{package} of {OWN_DISTRIBUTION} cannot share an environment with the vendor's {' and '.join(vendors)}: "
            f"either 'pip uninstall {' '.join(vendors)}' and reinstall {OWN_DISTRIBUTION}, or "
            f"'pip uninstall {OWN_DISTRIBUTION}' and start scripts with 'ranvier run script.py' (or import ranvier)"
        )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except NotInstalledError:
        return False
    return True


def _is_intact(file: PackagePath) -> bool:
    """Compare a file with its checksum in RECORD (unpadded URL-safe base64, PEP 376 and PEP 427)."""
    if file.hash is None:  # RECORD itself, and byte code
        return True
    try:
        digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
