"""`tally audit-tiles`: attack on what is published, verdict, where, and exit code; with only a key in hand."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from histories import finished, started
from shell import tally

from tallystick import ledger
from tallystick.ledger.publish.tiles import export_tiles
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.note import (
    Checkpoint,
    SignerKey,
    VerifierKey,
    parse_receipt,
    receipt_line,
    sign_checkpoint,
)


class Site(NamedTuple):
    """What a ledger of 300 commits published, its key, and a receipt from the time of 100."""

    folder: Path
    key: str
    earlier: str
    note: str
    """The signed checkpoint of that time."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Site:
    place = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(place / "c"))
        patch.setenv("XDG_STATE_HOME", str(place / "s"))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        with ledger.create(place / "team", timezone="UTC") as book:
            note = ""
            for number in range(299):
                book.append(started(f"r{number}", "p"))
                if book.log.size() == 100:
                    note = book.checkpoint()
            export_tiles(book, place / "site")
            earlier = receipt_line(parse_receipt(note).checkpoint)
            return Site(place / "site", book.identity.key.format(), earlier, note)


@pytest.fixture
def site(published: Site, tmp_path: Path) -> Site:
    shutil.copytree(published.folder, tmp_path / "site")
    return published._replace(folder=tmp_path / "site")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_published_holds_in_a_folder_and_on_a_server(site: Site, tmp_path: Path) -> None:
    alone = tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key)
    assert (alone.code, "compared with no receipt" in " ".join(alone.out.split())) == (0, True)
    with served(site.folder) as url:
        far = tally(tmp_path, "audit-tiles", url, "--key", site.key, "--against", site.earlier, "--json")
    assert far.code == 0, far.err
    # Two bundles of entries, two tiles of level 0, and one of level 1.
    assert (far.json["files"], far.json["continued"]) == (5, 1)
    assert "@300 " in far.json["receipt"]


def test_a_full_tile_may_stand_for_a_partial_one(site: Site, tmp_path: Path) -> None:
    """The specification lets servers delete a partial tile once the full one is there."""
    (site.folder / "checkpoint").write_text(site.note)
    page = tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key, "--against", site.earlier, "--json")
    assert page.code == 0, page.err
    assert (page.json["receipt"], page.json["files"]) == (site.earlier, 2)
    flip(site.folder / "tile/0/000")
    assert tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key).code == 1


def flip(path: Path, at: int = 40) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def alter_an_entry(site: Site) -> None:
    flip(site.folder / "tile/entries/000")


def alter_a_tile(site: Site) -> None:
    flip(site.folder / "tile/0/001.p/44")


def alter_an_upper_tile(site: Site) -> None:
    flip(site.folder / "tile/1/000.p/1", 3)


def alter_the_root(site: Site) -> None:
    path = site.folder / "checkpoint"
    lines = path.read_text().split("\n")
    lines[2] = ("A" if lines[2][0] != "A" else "B") + lines[2][1:]
    path.write_text("\n".join(lines))


def sign_with_another_key(site: Site) -> None:
    held = parse_receipt((site.folder / "checkpoint").read_text()).checkpoint
    (site.folder / "checkpoint").write_text(sign_checkpoint(held, SignerKey.generate(held.origin)).format())


def remove_a_bundle(site: Site) -> None:
    (site.folder / "tile/entries/001.p/44").unlink()


def cut_a_tile(site: Site) -> None:
    path = site.folder / "tile/0/000"
    path.write_bytes(path.read_bytes()[:-32])


def make_a_tile_endless(site: Site) -> None:
    path = site.folder / "tile/0/000"
    with path.open("ab") as file:
        file.truncate(1 << 40)


def link_out_of_the_folder(site: Site) -> None:
    path = site.folder / "tile/entries/000"
    aside = site.folder.parent / "aside"
    path.rename(aside)
    path.symlink_to(aside)


def lengthen_an_entry(site: Site) -> None:
    path = site.folder / "tile/entries/000"
    data = bytearray(path.read_bytes())
    data[1] = 65
    path.write_bytes(data)


def no_checkpoint(site: Site) -> None:
    (site.folder / "checkpoint").unlink()


ROWS: list[tuple[Callable[[Site], None], str, str, int]] = [
    (alter_an_entry, "TILE ALTERED", "tile/0/000", 1),
    (alter_a_tile, "TILE ALTERED", "tile/0/001.p/44", 1),
    (alter_an_upper_tile, "TILE ALTERED", "tile/1/000.p/1", 1),
    (alter_the_root, "does not fit", "", 1),
    (sign_with_another_key, "sign", "", 1),
    (remove_a_bundle, "cannot be read", "tile/entries/001", 2),
    (cut_a_tile, "bytes long", "tile/0/000", 2),
    (make_a_tile_endless, "larger than", "tile/0/000", 2),
    (link_out_of_the_folder, "cannot be read", "tile/entries/000", 2),
    (lengthen_an_entry, "not 64 bytes", "tile/entries/000", 2),
    (no_checkpoint, "cannot be read", "checkpoint", 2),
]


@pytest.mark.parametrize(("attack", "verdict", "where", "code"), ROWS, ids=[row[0].__name__ for row in ROWS])
def test_what_contradicts_itself_is_named_and_placed(
    site: Site, attack: Callable[[Site], None], verdict: str, where: str, code: int
) -> None:
    attack(site)
    page = tally(site.folder.parent, "audit-tiles", str(site.folder), "--key", site.key, "--against", site.earlier)
    assert page.code == code, page.err
    assert verdict in page.err
    assert where in page.err
    assert page.out == ""


def test_another_history_and_a_cut_one_are_told_by_a_receipt(site: Site) -> None:
    held = parse_receipt((site.folder / "checkpoint").read_text()).checkpoint
    place = str(site.folder)
    for kept, verdict in (
        (Checkpoint(held.origin, 100, bytes(32)), "FORK"),
        (Checkpoint(held.origin, 300, bytes(32)), "FORK"),
        (Checkpoint(held.origin, 301, bytes(32)), "TAIL CUT"),
    ):
        page = tally(site.folder.parent, "audit-tiles", place, "--key", site.key, "--against", receipt_line(kept))
        assert (page.code, verdict in page.err) == (1, True), page.err
    other = receipt_line(Checkpoint("other", 100, bytes(32)))
    assert tally(site.folder.parent, "audit-tiles", place, "--key", site.key, "--against", other).code == 2


def test_the_last_audit_is_remembered_and_must_be_continued(site: Site, tmp_path: Path) -> None:
    """A publisher who shows less, or another history, is caught by the account alone, with no receipt in hand."""
    first = tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key, "--json")
    assert (first.code, first.json["continues_last_audit"]) == (0, None)
    again = tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key, "--json")
    assert (again.code, again.json["continues_last_audit"]) == (0, first.json["receipt"])
    remembered = pins.audit_path(VerifierKey.parse(site.key))
    origin, root = VerifierKey.parse(site.key).name, first.json["receipt"].split()[-1]
    for line, words in (
        (f"receipt {origin}@301 {root}", "TAIL CUT"),
        (f"receipt {origin}@299 {root}", "FORK"),
    ):
        remembered.write_text(f"{line}\n")
        refused = tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key)
        assert (refused.code, words in refused.err) == (1, True)
        assert remembered.read_text() == f"{line}\n"
    remembered.write_text("nothing of the kind")
    assert tally(tmp_path, "audit-tiles", str(site.folder), "--key", site.key).code == 2


def test_tiles_that_were_all_rewritten_to_fit_do_not_fit_the_signature(site: Site, tmp_path: Path) -> None:
    """Entries and every tile anew, as somebody without the key can: only the root gives it away."""
    with ledger.create(tmp_path / "other", timezone="UTC") as book:
        for number in range(299):
            book.append(finished(f"r{number}", "p"))
        export_tiles(book, tmp_path / "forged")
    (tmp_path / "forged" / "checkpoint").write_text((site.folder / "checkpoint").read_text())
    page = tally(tmp_path, "audit-tiles", str(tmp_path / "forged"), "--key", site.key)
    assert page.code == 1
    assert "ROOT" in page.err


@pytest.mark.parametrize(
    "place", ["nowhere", "http://127.0.0.1:1", "https://[", "file:///etc", "http://127.0.0.1:99999"]
)
def test_a_place_that_is_none_is_an_error_of_ours(site: Site, place: str) -> None:
    assert tally(site.folder.parent, "audit-tiles", place, "--key", site.key).code == 2
