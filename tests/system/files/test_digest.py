"""SHA-256 of what passes by."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from guestwire.system.files.digest import Digest


@pytest.mark.parametrize("sizes", [[], [1], [100_000] * 9, [1 << 20, 3, 1 << 18], [7] * 50_000])
def test_it_is_that_of_all_pieces_in_their_order(sizes):
    pieces = [os.urandom(size) for size in sizes]
    digest = Digest()
    for piece in pieces:
        digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_it_goes_on_after_it_was_told():
    digest = Digest()
    for _ in range(2):
        digest.update(bytes(1 << 19))
        told = digest.hexdigest()
    assert told == hashlib.sha256(bytes(1 << 20)).hexdigest()


def test_one_that_is_no_longer_wanted_leaves_no_thread():
    before = threading.active_count()
    digest = Digest()
    digest.update(bytes(1 << 21))
    digest.close()
    digest.close()
    assert threading.active_count() == before
