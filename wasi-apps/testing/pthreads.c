// pthreads COMMAND: what C's library makes of wasi-threads.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static int count;

static void must(int error) {
    if (error) fprintf(stderr, "%s\n", strerror(error)), exit(1);
}

static void *adds(void *argument) {
    for (int round = 0; round < 1000; round++) {
        must(pthread_mutex_lock(&lock));
        count += *(int *)argument;
        must(pthread_mutex_unlock(&lock));
    }
    return argument;
}

static void mutex(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS], returned = 0;
    for (int index = 0; index < THREADS; index++) {
        numbers[index] = index;
        must(pthread_create(&threads[index], NULL, adds, &numbers[index]));
    }
    for (int index = 0; index < THREADS; index++) {
        void *value;
        must(pthread_join(threads[index], &value));
        returned += value == &numbers[index];
    }
    printf("%d %d\n", count, returned);
}

static void *waits(void *argument) {
    must(pthread_mutex_lock(&lock));
    while (count != *(int *)argument) must(pthread_cond_wait(&news, &lock));
    printf("thread %d\n", count++);
    must(pthread_cond_broadcast(&news));
    must(pthread_mutex_unlock(&lock));
    return NULL;
}

static void condition(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int index = THREADS - 1; index >= 0; index--) {
        numbers[index] = index;
        must(pthread_create(&threads[index], NULL, waits, &numbers[index]));
    }
    for (int index = 0; index < THREADS; index++) must(pthread_join(threads[index], NULL));
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20 * 1000 * 1000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    must(pthread_mutex_lock(&lock));
    int error = pthread_cond_timedwait(&news, &lock, &until);
    must(pthread_mutex_unlock(&lock));
    printf("%s\n", error == ETIMEDOUT ? "nobody" : "somebody");
}

static _Thread_local int own = 3;
static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value) {
    destroyed += *(int *)value;
    free(value);
}

static void *keeps(void *argument) {
    int *value = malloc(sizeof *value);
    *value = own += *(int *)argument;
    must(pthread_setspecific(key, value));
    return NULL;
}

static void local(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    must(pthread_key_create(&key, destroy));
    for (int index = 0; index < THREADS; index++) {
        numbers[index] = index;
        must(pthread_create(&threads[index], NULL, keeps, &numbers[index]));
    }
    for (int index = 0; index < THREADS; index++) must(pthread_join(threads[index], NULL));
    printf("%d %d\n", own, destroyed);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t barrier;
static sem_t semaphore;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static int begun, turns;

static void begin(void) { begun++; }

static void *meets(void *argument) {
    (void)argument;
    must(pthread_once(&once, begin));
    for (int round = 0; round < 10; round++) {
        int first = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        must(pthread_rwlock_wrlock(&shared));
        turns += first;
        must(pthread_rwlock_unlock(&shared));
    }
    sem_post(&semaphore);
    return NULL;
}

static void meeting(void) {
    pthread_t thread;
    must(pthread_barrier_init(&barrier, NULL, THREADS));
    sem_init(&semaphore, 0, 0);
    for (int index = 0; index < THREADS; index++) {
        must(pthread_create(&thread, NULL, meets, NULL));
        must(pthread_detach(thread));
    }
    for (int index = 0; index < THREADS; index++) sem_wait(&semaphore);
    must(pthread_rwlock_rdlock(&shared));
    printf("%d %d\n", begun, turns);
}

static void *writes(void *argument) {
    FILE *file = argument;
    for (int line = 0; line < 100; line++) fprintf(file, "a line of text, written whole\n");
    return NULL;
}

static void file(void) {
    pthread_t threads[THREADS];
    FILE *file = fopen("/lines", "w+");
    for (int index = 0; index < THREADS; index++) must(pthread_create(&threads[index], NULL, writes, file));
    for (int index = 0; index < THREADS; index++) must(pthread_join(threads[index], NULL));
    rewind(file);
    int whole = 0;
    for (char line[100]; fgets(line, sizeof line, file);) whole += !strcmp(line, "a line of text, written whole\n");
    printf("%d\n", whole);
}

static void *leaves(void *argument) { exit(*(int *)argument); }

static void leaving(void) {
    pthread_t thread;
    int code = 45;
    must(pthread_create(&thread, NULL, leaves, &code));
    for (;;) sleep(1000);
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    if (!strcmp(command, "mutex")) mutex();
    else if (!strcmp(command, "condition")) condition();
    else if (!strcmp(command, "local")) local();
    else if (!strcmp(command, "meeting")) meeting();
    else if (!strcmp(command, "file")) file();
    else if (!strcmp(command, "exit")) leaving();
    else return fprintf(stderr, "usage: pthreads mutex | condition | local | meeting | file | exit\n"), 2;
    return 0;
}
