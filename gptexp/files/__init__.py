"""All access to the files of run folders, report bundles and packs goes through this package.

These folders may come from strangers. A symbolic link in them must not redirect a read, a write or a delete, a pipe or
a device must not hang a command, and a huge file must not fill the memory. So every function here opens regular files
only, walks the folders below `within` without following a link, and reads up to a size limit.

Arguments that all functions share:

path:   the file or folder to work on. It lies below `within` and contains no `..`.
within: the trusted folder, as the user named it; it may itself be a link. Default: the folder that holds `path`.
"""

from gptexp.files.commit import (
    REMOVED,
    clear_removed,
    put_in_place,
    recover_replaced,
    remove_at_once,
    replace_folder,
)
from gptexp.files.errors import DENIED, DiskError, ForeignFile, disk_errors, explain
from gptexp.files.lock import alone_in, hold_folder, lock_file
from gptexp.files.read import (
    LARGEST_JSON,
    LARGEST_LOG,
    LARGEST_PART,
    Entry,
    exists,
    is_file,
    is_folder,
    kind_of,
    list_folder,
    list_tree,
    read_bytes,
    read_files,
    read_user_file,
    size_of,
    stamp_of,
    within_folder,
)
from gptexp.files.walk import check_sha256, open_file, open_path, sync_folder
from gptexp.files.write import (
    CUT_OFF,
    append_bytes,
    copy_entry,
    make_folder,
    remove_file,
    remove_tree,
    rename,
    replace_file,
    set_mode,
    sync_tree,
    usual_mode,
    write_atomic,
    write_new,
    write_user_file,
)

__all__ = [
    "CUT_OFF",
    "DENIED",
    "LARGEST_JSON",
    "LARGEST_LOG",
    "LARGEST_PART",
    "REMOVED",
    "DiskError",
    "Entry",
    "ForeignFile",
    "alone_in",
    "append_bytes",
    "check_sha256",
    "clear_removed",
    "copy_entry",
    "disk_errors",
    "exists",
    "explain",
    "hold_folder",
    "is_file",
    "is_folder",
    "kind_of",
    "list_folder",
    "list_tree",
    "lock_file",
    "make_folder",
    "open_file",
    "open_path",
    "put_in_place",
    "read_bytes",
    "read_files",
    "read_user_file",
    "recover_replaced",
    "remove_at_once",
    "remove_file",
    "remove_tree",
    "rename",
    "replace_file",
    "replace_folder",
    "set_mode",
    "size_of",
    "stamp_of",
    "sync_folder",
    "sync_tree",
    "usual_mode",
    "within_folder",
    "write_atomic",
    "write_new",
    "write_user_file",
]
