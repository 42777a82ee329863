// Clocks, waiting, chance, signals, sockets.

static uint32_t clock_id(const char *text) {
    return is(text, "realtime") ? 0 : is(text, "monotonic") ? 1 : is(text, "process") ? 2 : is(text, "thread") ? 3 : value(text);
}

static void clock_res_get(void) {
    __wasi_timestamp_t time = 0;
    __wasi_errno_t error = __wasi_clock_res_get((__wasi_clockid_t){clock_id(word())}, &time);
    result(error);
    if (!error) print(time ? " some" : " 0");
}

static void clock_time_get(void) {
    __wasi_timestamp_t time = 0;
    __wasi_errno_t error = __wasi_clock_time_get((__wasi_clockid_t){clock_id(word())}, 1, &time);
    result(error);
}

static uint64_t now(uint32_t clock) {
    __wasi_timestamp_t time = 0;
    if (__wasi_clock_time_get((__wasi_clockid_t){clock}, 1, &time)) usage(USAGE);
    return time;
}

// clock:ID:N in N nanoseconds, clock:ID:+N at now and N, clock:ID:@N at N; read:FD; write:FD.
static int subscribe(char *text, __wasi_subscription_t *to) {
    char *kind = strtok(text, ":"), *first = strtok(NULL, ":"), *time = strtok(NULL, ":");
    memset(to, 0, sizeof *to);
    if (!kind || !first) usage(USAGE);
    if (!is(kind, "clock")) {
        to->u.tag = is(kind, "read") ? __WASI_EVENTTYPE_FD_READ : is(kind, "write") ? __WASI_EVENTTYPE_FD_WRITE : 9;
        to->u.u.fd_read.file_descriptor = fd_of(first);
        return 0;
    }
    if (!time) usage(USAGE);
    int absolute = *time == '+' || *time == '@';
    to->u.tag = __WASI_EVENTTYPE_CLOCK;
    to->u.u.clock.id = (__wasi_clockid_t){clock_id(first)};
    to->u.u.clock.flags = absolute ? __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME : 0;
    to->u.u.clock.timeout = value(time + absolute) + (*time == '+' ? now(clock_id(first)) : 0);
    return 1;
}

static void print_event(const __wasi_event_t *event) {
    static const char *const KINDS[] = {"clock", "read", "write"};
    print(" "), print_number(event->userdata - 1000), print(":"), print(event->type < 3 ? KINDS[event->type] : "no type");
    if (event->error) print(":"), print(errno_name(event->error));
}

// poll_oneoff [at_least NS] SUBSCRIPTION…: "too early" when it comes back before that time.
static void poll_oneoff(void) {
    __wasi_subscription_t wanted[16];
    __wasi_event_t events[16];
    size_t count = 0;
    uint64_t least = 0, began = now(1);
    while (*at && count < 16) {
        char *text = word();
        if (is(text, "at_least")) { least = next_value(); continue; }
        subscribe(text, &wanted[count]);
        wanted[count].userdata = 1000 + count;
        count++;
    }
    __wasi_size_t happened = 99;
    __wasi_errno_t error = __wasi_poll_oneoff(wanted, events, count, &happened);
    result(error);
    if (error) return;
    field("events", happened);
    for (uint64_t index = 0; index < count; index++)
        for (size_t event = 0; event < happened; event++)
            if (events[event].userdata == 1000 + index) print_event(&events[event]);
    if (now(1) - began < least) print(" too early");
}

static void random_get(void) {
    size_t length = next_value(), zeros = 0;
    memset(buffer, 0, length);
    __wasi_errno_t error = __wasi_random_get((uint8_t *)buffer, length);
    for (size_t index = 0; index < length; index++) zeros += !buffer[index];
    result(error);
    if (length && zeros > length / 16) print(" not random");
}

static void sched_yield_(void) { result(__wasi_sched_yield()); }

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) int raise_signal(int signal);
static void proc_raise(void) { result((__wasi_errno_t)raise_signal((int)next_value())); }

static void args_sizes_get(void) {
    __wasi_size_t count = 0, size = 0;
    result(__wasi_args_sizes_get(&count, &size));
    field("count", count), field("bytes", size);
}

static void environ_sizes_get(void) {
    __wasi_size_t count = 0, size = 0;
    result(__wasi_environ_sizes_get(&count, &size));
    field("count", count), field("bytes", size);
}

static void sock_accept(void) {
    __wasi_fd_t opened;
    result(__wasi_sock_accept(next_fd(), 0, &opened));
}

static void sock_recv(void) {
    __wasi_iovec_t vector = {(uint8_t *)buffer, 16};
    __wasi_size_t length;
    __wasi_roflags_t flags;
    result(__wasi_sock_recv(next_fd(), &vector, 1, 0, &length, &flags));
}

static void sock_send(void) {
    __wasi_ciovec_t vector = {(uint8_t *)buffer, 16};
    __wasi_size_t length;
    result(__wasi_sock_send(next_fd(), &vector, 1, 0, &length));
}

static void sock_shutdown(void) {
    __wasi_fd_t fd = next_fd();
    const char *how = word();
    result(__wasi_sock_shutdown(fd, (__wasi_sdflags_t)(is(how, "read") ? 1 : is(how, "write") ? 2 : 3)));
}
