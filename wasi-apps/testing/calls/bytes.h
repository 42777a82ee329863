// Reading, writing, and where.

// Several buffers over the same memory: sizes separated by commas.
static size_t buffers(char *sizes, __wasi_iovec_t *vectors) {
    size_t count = 0, used = 0;
    while (*sizes && count < 16) {
        char *end = strchr(sizes, ',');
        if (end) *end = 0;
        uint64_t length = value(sizes);
        vectors[count++] = (__wasi_iovec_t){(uint8_t *)buffer + used, length};
        used += length;
        sizes = end ? end + 1 : sizes + strlen(sizes);
    }
    return count;
}

static size_t texts(char *text, __wasi_ciovec_t *vectors) {
    size_t count = 0;
    while (*text && count < 16) {
        char *end = strchr(text, ',');
        if (end) *end = 0;
        vectors[count++] = (__wasi_ciovec_t){(uint8_t *)text, strlen(text)};
        text = end ? end + 1 : text + strlen(text);
    }
    return count;
}

static void print_read(__wasi_errno_t error, __wasi_size_t length) {
    result(error);
    if (error) return;
    for (size_t index = 0; index < length; index++)
        if (!buffer[index]) buffer[index] = '.';
    field("bytes", length);
    if (length) print(" "), put(STDOUT_FILENO, buffer, length);
}

static void fd_read(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_iovec_t vectors[16];
    size_t count = buffers(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_read(fd, vectors, count, &length);
    print_read(error, length);
}

static void fd_pread(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_iovec_t vectors[16];
    size_t count = buffers(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_pread(fd, vectors, count, next_value(), &length);
    print_read(error, length);
}

static void print_written(__wasi_errno_t error, __wasi_size_t length) {
    result(error);
    if (!error) field("bytes", length);
}

static void fd_write(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_ciovec_t vectors[16];
    size_t count = texts(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_write(fd, vectors, count, &length);
    print_written(error, length);
}

static void fd_pwrite(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_ciovec_t vectors[16];
    size_t count = texts(word(), vectors);
    __wasi_size_t length = 0;
    __wasi_errno_t error = __wasi_fd_pwrite(fd, vectors, count, next_value(), &length);
    print_written(error, length);
}

static void fd_seek(void) {
    __wasi_fd_t fd = next_fd();
    __wasi_filedelta_t offset = (__wasi_filedelta_t)next_value();
    const char *from = word();
    __wasi_filesize_t position = 0;
    __wasi_whence_t whence = is(from, "set") ? 0 : is(from, "cur") ? 1 : is(from, "end") ? 2 : 9;
    __wasi_errno_t error = __wasi_fd_seek(fd, offset, whence, &position);
    result(error);
    if (!error) field("at", position);
}

static void fd_tell(void) {
    __wasi_filesize_t position = 0;
    __wasi_errno_t error = __wasi_fd_tell(next_fd(), &position);
    result(error);
    if (!error) field("at", position);
}

static void fd_advise(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t offset = next_value(), length = next_value();
    result(__wasi_fd_advise(fd, offset, length, (__wasi_advice_t)next_value()));
}

static void fd_allocate(void) {
    __wasi_fd_t fd = next_fd();
    uint64_t offset = next_value();
    result(__wasi_fd_allocate(fd, offset, next_value()));
}

static void fd_close(void) { result(__wasi_fd_close(next_fd())); }
static void fd_sync(void) { result(__wasi_fd_sync(next_fd())); }
static void fd_datasync(void) { result(__wasi_fd_datasync(next_fd())); }

static void fd_renumber(void) {
    __wasi_fd_t fd = next_fd();
    result(__wasi_fd_renumber(fd, next_fd()));
}

static void fd_prestat_get(void) {
    __wasi_prestat_t stat;
    __wasi_errno_t error = __wasi_fd_prestat_get(next_fd(), &stat);
    result(error);
    if (!error) field("name", stat.u.dir.pr_name_len);
}

static void fd_prestat_dir_name(void) {
    __wasi_fd_t fd = next_fd();
    size_t length = next_value();
    __wasi_errno_t error = __wasi_fd_prestat_dir_name(fd, (uint8_t *)buffer, length);
    result(error);
    if (!error) print(" "), put(STDOUT_FILENO, buffer, length);
}
