"""The tables of the SQLite file, and how an older file becomes a newer one."""

from __future__ import annotations

from sqlite3 import Connection

APPLICATION_ID = 0x746D6C74  # "tmlt"; tells our file from another's

# The first entry makes a file of version 1, and so on.  One that was released is never changed: add another.
# A replaced row gets a new rowid, so rowids are in the order of writing.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        (
            "CREATE TABLE callback (address TEXT PRIMARY KEY, result TEXT NOT NULL, reply TEXT NOT NULL,"
            " stored REAL NOT NULL, expires REAL NOT NULL)"
        ),
        "CREATE INDEX callback_expires ON callback (expires)",
        (
            "CREATE TABLE sender (list TEXT NOT NULL, name TEXT NOT NULL, comment TEXT NOT NULL,"
            " stored REAL NOT NULL, expires REAL, PRIMARY KEY (list, name))"
        ),
        "CREATE INDEX sender_expires ON sender (expires)",
        (
            "CREATE TABLE greylist (key TEXT PRIMARY KEY, first_seen REAL NOT NULL, last_seen REAL NOT NULL,"
            " tries INTEGER NOT NULL, accepted INTEGER NOT NULL, expires REAL NOT NULL)"
        ),
        "CREATE INDEX greylist_expires ON greylist (expires)",
        (
            "CREATE TABLE decision (id TEXT PRIMARY KEY, queue_id TEXT NOT NULL, record TEXT NOT NULL,"
            " expires REAL NOT NULL)"
        ),
        "CREATE INDEX decision_queue_id ON decision (queue_id)",
        "CREATE INDEX decision_expires ON decision (expires)",
    ),
    (
        "CREATE TABLE accepted (address TEXT PRIMARY KEY, expires REAL NOT NULL)",
        "CREATE INDEX accepted_expires ON accepted (expires)",
    ),
    (
        (
            "CREATE TABLE notice (address TEXT PRIMARY KEY, template TEXT NOT NULL, addressees TEXT NOT NULL,"
            " content BLOB NOT NULL, stored REAL NOT NULL, expires REAL NOT NULL, state TEXT NOT NULL,"
            " tries INTEGER NOT NULL, next_try REAL NOT NULL, outcome TEXT NOT NULL)"
        ),
        "CREATE INDEX notice_expires ON notice (expires)",
        "CREATE INDEX notice_state ON notice (state, next_try)",
        (
            "CREATE TABLE last_notice (template TEXT PRIMARY KEY, address TEXT NOT NULL, addressees TEXT NOT NULL,"
            " content BLOB NOT NULL, stored REAL NOT NULL, expires REAL NOT NULL, state TEXT NOT NULL,"
            " tries INTEGER NOT NULL, next_try REAL NOT NULL, outcome TEXT NOT NULL)"
        ),
        # who was told stood among the answers of exchangers, and shared their limit
        (
            "INSERT INTO notice SELECT substr(address, 6), '', '', x'', stored, expires, 'done', 1, 0, reply"
            " FROM callback WHERE address GLOB 'told:*'"
        ),
        "DELETE FROM callback WHERE address GLOB 'told:*'",
    ),
    (
        (
            "CREATE TABLE observation (name TEXT NOT NULL, qualifier TEXT NOT NULL, size INTEGER NOT NULL,"
            " total INTEGER NOT NULL, ham BLOB NOT NULL, nul BLOB NOT NULL, first_seen REAL NOT NULL,"
            " last_seen REAL NOT NULL, PRIMARY KEY (name, qualifier))"
        ),
        "CREATE INDEX observation_last_seen ON observation (last_seen)",
    ),
    (
        (
            "CREATE TABLE question (umis TEXT PRIMARY KEY, name TEXT NOT NULL, qualifier TEXT NOT NULL,"
            " expires REAL NOT NULL, vote INTEGER, number INTEGER NOT NULL, record REAL NOT NULL)"
        ),
        "CREATE INDEX question_expires ON question (expires)",
    ),
)


class ForeignFileError(Exception):
    """A database that is not ours, or of a version that we do not know."""


def migrate(connection: Connection) -> None:
    """Bring a database to the newest version, in one transaction.

    @raise ForeignFileError: we cannot use it.
    """
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        message = "it belongs to another program"
        raise ForeignFileError(message)
    if not 0 <= version <= len(MIGRATIONS) or bool(version) != bool(tables):
        message = f"its schema is {version}, ours {len(MIGRATIONS)}"
        raise ForeignFileError(message)
    if version == len(MIGRATIONS):
        return  # a disk that is full lets us read what there is
    connection.execute("BEGIN IMMEDIATE")
    for migration in MIGRATIONS[version:]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
