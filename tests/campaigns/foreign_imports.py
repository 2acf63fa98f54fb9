"""Other ledgers whose history somebody brings into his own: forged as a stranger's program would write them."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from unittest.mock import patch

from foreign import Target, as_bytes
from foreign_folders import a_team
from foreign_ledgers import change_json, forge, written
from given import Ticking, seeded_salts
from histories import registered
from scratch import at_home, parts, scratch, text_of

from tallystick import ledger as face
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.tlog.note import SignerKey
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify


def _import() -> Target:
    """What is refused leaves everything as it was; what is let in leaves a ledger that verifies."""
    place = scratch("import")
    book = a_team(place)
    files = written(book)
    row = book.log.reader.execute("SELECT * FROM entities LIMIT 1").fetchone()
    book.close()
    mine = SignerKey("q-" + "0" * 16, bytes(range(2, 34)))
    with (
        at_home(place / "own"),
        patch("secrets.token_hex", lambda number: "0" * 2 * number),
        patch.object(SignerKey, "generate", lambda _name: mine),
        face.create(place / "own", name="q", timezone="UTC", key_home="file", clock=Ticking(),
                    salts=seeded_salts()) as own,
    ):  # fmt: skip
        own.append(registered("elsewhere"), sign=True)
    before = (place / "own" / ".tally" / "ledger.db").read_bytes()
    corpus = [text_of(files), text_of([*files, ("r entities", json.dumps(row).encode())])]

    def parse(text: str) -> object:
        theirs, work = place / "read" / ".tally", place / "work"
        for folder in (theirs.parent, work):
            shutil.rmtree(folder, ignore_errors=True)
        theirs.mkdir(parents=True)
        forge(theirs / "ledger.db", parts(text))
        shutil.copytree(place / "own", work)
        with at_home(work), face.open(work / ".tally", clock=Ticking()) as own:
            size = own.log.size()
            try:
                under = "theirs" if zlib.crc32(as_bytes(text)) & 1 else None
                done = import_history(own, theirs, named_under=under)
            except face.TallyError:
                assert own.log.size() == size
                assert (work / ".tally" / "ledger.db").read_bytes() == before
                raise
            verdict = verify(own, Asked(workers=1))
            assert verdict.verified, verdict.findings
            return done

    return Target(parse, corpus, sample=6, change=change_json)


IMPORTS: dict[str, Callable[[], Target]] = {"import": _import}
