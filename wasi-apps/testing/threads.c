// threads COMMAND: what programs do with threads of wasi-threads, which the library here has not got (zig's knows of one).
//   sum THREADS N    each adds 1 to N, all at once, under a lock; prints the sum
//   file THREADS     each writes a line to the file "lines", which the first one opened, in turns; then that is copied to stdout
//   exit CODE        a thread calls exit, while the first one waits
//   trap             a thread traps, while the first one waits
//   fork             starts threads that wait, as many as it gets

#include <fcntl.h>
#include <stdatomic.h>

#include "arguments.h"

#define MOST 256
#define STACK 16384
#define USAGE "threads sum THREADS N | file THREADS | exit CODE | trap | fork (THREADS up to 255)"

// What a new thread is given: where its stack begins is read by the few instructions below.
struct start {
    char *stack;
    void *locals;
    void (*work)(uint32_t);
    uint32_t number;
};

static struct start starts[MOST];
static _Atomic uint32_t turn, lock, running;
static uint64_t limit, sum;
static int lines;

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int32_t thread_spawn(struct start *);
void __wasm_init_tls(void *);

// A thread begins without a stack: only what needs none may run before it has one.
__asm__(
    ".globaltype __stack_pointer, i32\n"
    ".functype thread_main (i32, i32) -> ()\n"
    ".globl wasi_thread_start\n"
    ".export_name wasi_thread_start, wasi_thread_start\n"
    ".type wasi_thread_start,@function\n"
    "wasi_thread_start:\n"
    ".functype wasi_thread_start (i32, i32) -> ()\n"
    "local.get 1\n"
    "i32.load 0\n"
    "global.set __stack_pointer\n"
    "local.get 0\n"
    "local.get 1\n"
    "call thread_main\n"
    "end_function\n");

static void wait_while(_Atomic uint32_t *place, uint32_t value) {
    __builtin_wasm_memory_atomic_wait32((int *)place, (int)value, -1);
}

static void wake(_Atomic uint32_t *place) { __builtin_wasm_memory_atomic_notify((int *)place, UINT32_MAX); }

static void wait_for(_Atomic uint32_t *place, uint32_t value) {
    for (uint32_t now; (now = atomic_load(place)) != value;) wait_while(place, now);
}

void thread_main(int32_t id, struct start *start) {
    (void)id;
    __wasm_init_tls(start->locals);
    start->work(start->number);
    atomic_fetch_sub(&running, 1);
    wake(&running);
}

static void spawn(uint32_t number, void (*work)(uint32_t)) {
    struct start *start = &starts[number];
    start->stack = (char *)aligned_alloc(16, STACK) + STACK;
    start->locals = aligned_alloc(16, (__builtin_wasm_tls_size() + 15) / 16 * 16 + 16);
    start->work = work;
    start->number = number;
    atomic_fetch_add(&running, 1);
    if (thread_spawn(start) < 0) {
        say(STDERR_FILENO, "no more threads\n");
        _Exit(1);
    }
}

static void add(uint32_t number) {
    (void)number;
    for (uint64_t left = limit; left; left--) {
        while (atomic_exchange(&lock, 1)) wait_while(&lock, 1);
        sum++;
        atomic_store(&lock, 0);
        __builtin_wasm_memory_atomic_notify((int *)&lock, 1);
    }
}

static void write_line(uint32_t number) {
    wait_for(&turn, number);
    say(lines, "line ");
    say_number(lines, number);
    say(lines, "\n");
    atomic_fetch_add(&turn, 1);
    wake(&turn);
}

static void wait_for_ever(uint32_t number) {
    (void)number;
    for (;;) wait_while(&turn, 0);
}

static void leave(uint32_t number) {
    (void)number;
    exit((int)limit);
}

static void fail(uint32_t number) {
    (void)number;
    __builtin_trap();
}

static void copy_lines(void) {
    static char text[4096];
    if (lseek(lines, 0, SEEK_SET)) _Exit(1);
    for (ssize_t length; (length = read(lines, text, sizeof text)) > 0;) put(STDOUT_FILENO, text, (size_t)length);
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    uint32_t threads = 1;
    void (*work)(uint32_t) = wait_for_ever;
    if (!strcmp(command, "sum")) {
        threads = (uint32_t)number(argc, argv, 2, MOST - 1, USAGE);
        limit = number(argc, argv, 3, 1000000, USAGE);
        work = add;
    } else if (!strcmp(command, "file")) {
        threads = (uint32_t)number(argc, argv, 2, MOST - 1, USAGE);
        lines = open("lines", O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (lines < 0) return 1;
        work = write_line;
    } else if (!strcmp(command, "exit")) {
        limit = number(argc, argv, 2, 255, USAGE);
        work = leave;
    } else if (!strcmp(command, "trap")) {
        work = fail;
    } else if (!strcmp(command, "fork")) {
        threads = MOST;
    } else {
        usage(USAGE);
    }
    for (uint32_t number = 0; number < threads; number++) spawn(number, work);
    wait_for(&running, 0);
    if (work == write_line) {
        copy_lines();
    } else {
        say_number(STDOUT_FILENO, sum);
        say(STDOUT_FILENO, "\n");
    }
    return 0;
}
