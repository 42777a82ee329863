// Entries, their cookies and inodes; many of them.

typedef struct {
    __wasi_dirent_t entry;
    const char *name;
} Entry;

static Entry entries[MOST_ENTRIES];
static char names[LARGEST];

static int by_name(const void *left, const void *right) {
    return strcmp(((const Entry *)left)->name, ((const Entry *)right)->name);
}

// One buffer of entries; the number of whole ones. `cookie` moves behind the last of them.
static size_t read_entries(__wasi_fd_t fd, size_t size, __wasi_dircookie_t *cookie, size_t count, char **name,
                           __wasi_errno_t *error, size_t *used) {
    __wasi_size_t length = 0;
    *error = __wasi_fd_readdir(fd, (uint8_t *)buffer, size, *cookie, &length);
    *used = length;
    size_t found = 0, offset = 0;
    while (!*error && offset + sizeof(__wasi_dirent_t) <= length && count + found < MOST_ENTRIES) {
        Entry *next = &entries[count + found];
        memcpy(&next->entry, buffer + offset, sizeof next->entry);
        offset += sizeof next->entry;
        if (offset + next->entry.d_namlen > length) break;
        memcpy(*name, buffer + offset, next->entry.d_namlen);
        (*name)[next->entry.d_namlen] = 0;
        next->name = *name;
        *name += next->entry.d_namlen + 1;
        offset += next->entry.d_namlen;
        *cookie = next->entry.d_next;
        found++;
    }
    return found;
}

// All entries by buffers of that size.
static size_t read_all(__wasi_fd_t fd, size_t size, __wasi_errno_t *error) {
    size_t count = 0, found, used;
    char *name = names;
    __wasi_dircookie_t cookie = 0;
    do count += found = read_entries(fd, size, &cookie, count, &name, error, &used);
    while (!*error && found && used == size);
    return count;
}

// list FD SIZE: names with their types, sorted.
static void list(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t count = read_all(fd, next_value(), &error);
    result(error);
    if (error) return;
    qsort(entries, count, sizeof *entries, by_name);
    for (size_t index = 0; index < count; index++) {
        print(" "), print(entries[index].name), print(":");
        print(type_name(entries[index].entry.d_type));
    }
}

static void count(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, next_value(), &error), twice = 0;
    result(error);
    if (error) return;
    qsort(entries, found, sizeof *entries, by_name);
    for (size_t index = 1; index < found; index++) twice += is(entries[index - 1].name, entries[index].name);
    field("entries", found), field("twice", twice);
}

// cookies FD: from the cookie of each entry on, a reading goes on with the next one.
static void cookies(void) {
    static char next[LARGEST];
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, LARGEST, &error);
    for (size_t index = 0; !error && index + 1 < found; index++) {
        char *name = next;
        __wasi_dircookie_t cookie = entries[index].entry.d_next;
        size_t used;
        const char *expected = entries[index + 1].name;
        Entry kept = entries[0];
        size_t got = read_entries(fd, 512, &cookie, 0, &name, &error, &used);
        int right = got && is(next, expected);
        entries[0] = kept;
        if (!error && !right) { print("wrong after "), print(entries[index].name); return; }
        read_all(fd, LARGEST, &error);
    }
    result(error);
}

// inodes FD: an entry tells the inode that the file tells.
static void inodes(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_errno_t error;
    size_t found = read_all(fd, LARGEST, &error);
    for (size_t index = 0; !error && index < found; index++) {
        __wasi_filestat_t stat;
        if (is(entries[index].name, "..")) continue;
        error = __wasi_path_filestat_get(fd, 0, entries[index].name, &stat);
        if (!error && stat.ino != entries[index].entry.d_ino) { print("another: "), print(entries[index].name); return; }
    }
    result(error);
}

// fd_readdir FD SIZE COOKIE
static void fd_readdir(void) {
    __wasi_fd_t fd = next_fd();
    size_t size = next_value();
    __wasi_size_t used = 0;
    __wasi_errno_t error = __wasi_fd_readdir(fd, (uint8_t *)buffer, size, next_value(), &used);
    result(error);
    if (!error) field("used", used);
}

// PREFIXn, to be used before the next call.
static const char *numbered(const char *prefix, uint64_t number) {
    static char name[64];
    char digits[21], *digit = digits + 20;
    *digit = 0;
    do *--digit = (char)('0' + number % 10);
    while (number /= 10);
    strcpy(stpcpy(name, prefix), digit);
    return name;
}

// make_links FD PREFIX N TARGET: PREFIX0 leads to the target, each other one to the one before.
static void make_links(void) {
    __wasi_fd_t fd = next_fd();
    const char *prefix = word();
    uint64_t wanted = next_value();
    char target[64];
    strncpy(target, word(), sizeof target - 1);
    __wasi_errno_t error = 0;
    for (uint64_t index = 0; !error && index < wanted; index++) {
        const char *name = numbered(prefix, index);
        error = __wasi_path_symlink(target, fd, name);
        strcpy(target, name);
    }
    result(error);
}

// make_files FD PREFIX N: that many empty files.
static void make_files(void) {
    __wasi_fd_t fd = next_fd();
    const char *prefix = word();
    uint64_t wanted = next_value();
    __wasi_errno_t error = 0;
    for (uint64_t index = 0; !error && index < wanted; index++) {
        const char *name = numbered(prefix, index);
        __wasi_fd_t opened;
        error = __wasi_path_open(fd, 0, name, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, __WASI_RIGHTS_FD_WRITE, 0, 0, &opened);
        if (!error) error = __wasi_fd_close(opened);
    }
    result(error);
}
