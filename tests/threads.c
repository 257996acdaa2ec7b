/* Counts the threads that a test program starts, libraries' and children's too, and says so at its
 * end if SAY_THREADS is set: tests/run gives to the thread sanitizer what has threads. It counts
 * where there is no sanitizer, which would have this function for itself. */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static pid_t owner;
static atomic_uint *started; /* shared with children */

__attribute__((constructor)) static void begin(void)
{
    if (!getenv("SAY_THREADS"))
        return;
    owner = getpid();
    started =
        mmap(NULL, sizeof(*started), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (started == MAP_FAILED)
        abort();
}

__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    static create_fn *_Atomic real;

    if (!real)
        real = (create_fn *)dlsym(RTLD_NEXT, "pthread_create");
    if (started)
        (*started)++;
    return real(thread, attr, start, arg);
}

__attribute__((destructor)) static void end(void)
{
    if (started && *started && getpid() == owner)
        printf("%u threads started\n", *started);
}
#endif
