// What is known of a file: kind, size, links, times, flags.

static const char *const TYPES[] = {"unknown", "block_device", "character_device", "directory",
                                    "regular_file", "socket_dgram", "socket_stream", "symbolic_link"};

static const char *type_name(__wasi_filetype_t type) { return type < 8 ? TYPES[type] : "no type"; }

// Sizes and links of directories are the file system's own affair.
static void print_stat(const __wasi_filestat_t *stat) {
    print(" "), print(type_name(stat->filetype));
    if (stat->filetype == __WASI_FILETYPE_REGULAR_FILE) field("links", stat->nlink);
    if (stat->filetype == __WASI_FILETYPE_REGULAR_FILE || stat->filetype == __WASI_FILETYPE_SYMBOLIC_LINK)
        field("size", stat->size);
}

static void print_time(const char *name, __wasi_timestamp_t time) {
    __wasi_timestamp_t now = 0;
    if (__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &now)) return;
    if (time + HOUR > now && time < now + HOUR) print(" "), print(name), print(" now");
    else field(name, time);
}

static void print_stat_or_times(__wasi_errno_t error, const __wasi_filestat_t *stat, int times) {
    result(error);
    if (error) return;
    if (times) print_time("atim", stat->atim), print_time("mtim", stat->mtim);
    else print_stat(stat);
}

static void path_stat(int times) {
    __wasi_fd_t fd = next_fd();
    const char *path = word();
    __wasi_filestat_t stat;
    print_stat_or_times(__wasi_path_filestat_get(fd, rest().lookup, path, &stat), &stat, times);
}

static void fd_stat(int times) {
    __wasi_filestat_t stat;
    print_stat_or_times(__wasi_fd_filestat_get(next_fd(), &stat), &stat, times);
}

static void path_filestat_get(void) { path_stat(0); }
static void path_times(void) { path_stat(1); }
static void fd_filestat_get(void) { fd_stat(0); }
static void fd_times(void) { fd_stat(1); }

// same FD PATH FD PATH: whether both are one file.
static void same(void) {
    __wasi_filestat_t stats[2];
    for (int index = 0; index < 2; index++) {
        __wasi_fd_t fd = next_fd();
        __wasi_errno_t error = __wasi_path_filestat_get(fd, 1, word(), &stats[index]);
        if (error) { result(error); return; }
    }
    print(stats[0].ino == stats[1].ino && stats[0].dev == stats[1].dev ? "yes" : "no");
}

// newer FD PATH FD PATH: by the time of the last change.
static void newer(void) {
    __wasi_filestat_t stats[2];
    for (int index = 0; index < 2; index++) {
        __wasi_fd_t fd = next_fd();
        __wasi_errno_t error = __wasi_path_filestat_get(fd, 1, word(), &stats[index]);
        if (error) { result(error); return; }
    }
    print(stats[0].mtim > stats[1].mtim ? "yes" : stats[0].mtim < stats[1].mtim ? "older" : "same");
}

static void path_filestat_set_times(void) {
    __wasi_fd_t fd = next_fd();
    const char *path = word();
    Options how = rest();
    result(__wasi_path_filestat_set_times(fd, how.lookup, path, how.atim, how.mtim, how.times));
}

static void fd_filestat_set_times(void) {
    __wasi_fd_t fd = next_fd();
    Options how = rest();
    result(__wasi_fd_filestat_set_times(fd, how.atim, how.mtim, how.times));
}

static void fd_filestat_set_size(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_filestat_set_size(fd, next_value()));
}

static void fd_fdstat_get(void) {
    static const char *const FLAGS[] = {" append", " dsync", " nonblock", " rsync", " sync"};
    __wasi_fdstat_t stat;
    __wasi_errno_t error = __wasi_fd_fdstat_get(next_fd(), &stat);
    result(error);
    if (error) return;
    print(" "), print(type_name(stat.fs_filetype));
    for (int bit = 0; bit < 5; bit++)
        if (stat.fs_flags >> bit & 1) print(FLAGS[bit]);
    if (stat.fs_rights_base & __WASI_RIGHTS_FD_READ) print(" may_read");
    if (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) print(" may_write");
}

static void fd_fdstat_set_flags(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_fdstat_set_flags(fd, rest().flags));
}

static void fd_fdstat_set_rights(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t base = next_value();
    result(__wasi_fd_fdstat_set_rights(fd, base, next_value()));
}
