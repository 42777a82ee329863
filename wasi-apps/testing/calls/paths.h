// What is done by path.

static void path_open(void) {
    __wasi_fd_t fd = next_fd(), opened;
    const char *path = word();
    Options how = rest();
    __wasi_errno_t error =
        __wasi_path_open(fd, how.lookup, path, how.open, how.rights, how.rights, how.flags, &opened);
    if (!error && how.name) named[how.name - 'a'] = opened;
    result(error);
}

static void path_create_directory(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_create_directory(fd, word()));
}

static void path_remove_directory(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_remove_directory(fd, word()));
}

static void path_unlink_file(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_unlink_file(fd, word()));
}

static void path_rename(void) {
    __wasi_fd_t fd = next_fd();
    const char *old = word();
    __wasi_fd_t to = next_fd();
    result(__wasi_path_rename(fd, old, to, word()));
}

static void path_link(void) {
    __wasi_fd_t fd = next_fd();
    const char *old = word();
    __wasi_fd_t to = next_fd();
    const char *path = word();
    result(__wasi_path_link(fd, is(word(), "follow"), old, to, path));
}

static void path_symlink(void) {
    const char *target = word();
    __wasi_fd_t fd = next_fd();
    result(__wasi_path_symlink(target, fd, word()));
}

static void path_readlink(void) {
    __wasi_fd_t fd = next_fd();
    const char *path = word(), *size = word();
    __wasi_size_t used = 0;
    __wasi_errno_t error = __wasi_path_readlink(fd, path, (uint8_t *)buffer, *size ? value(size) : LARGEST, &used);
    result(error);
    if (!error && used) print(" "), put(STDOUT_FILENO, buffer, used);
}
