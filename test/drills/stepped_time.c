// Copyright 2026 pose3d_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* A system clock that can be stepped for some processes alone: LD_PRELOAD it, and name in
 * STEPPED_TIME a file of one int64, the nanoseconds by which their time of day is off.
 *
 * Waits up to a time of day are moved too, as the kernel's clock stays where it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#define NS 1000000000LL
#define NEXT(name) static __typeof__(&name) next; if (!next) next = dlsym(RTLD_NEXT, #name)

static const int64_t none;
static const volatile int64_t *offset_ns = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("STEPPED_TIME");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        abort();
    offset_ns = shared;
}

static struct timespec moved(const struct timespec *t, int64_t by_ns)
{
    int64_t ns = t->tv_sec * NS + t->tv_nsec + by_ns;
    return (struct timespec){ns / NS, ns % NS};
}

/* Times since the machine started are no times of day: they are far smaller. */
static struct timespec of_kernel(const struct timespec *until)
{
    return moved(until, until->tv_sec > 1000000000 ? -*offset_ns : 0);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    NEXT(clock_gettime);
    int failed = next(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *now = moved(now, *offset_ns);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *now = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (now)
        *now = t.tv_sec;
    return t.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static __typeof__(&pthread_cond_timedwait) next;
    if (!next) /* without its version, dlsym finds the one of 2002 */
        next = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec then = of_kernel(until);
    return next(condition, mutex, &then);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    NEXT(pthread_mutex_timedlock);
    struct timespec then = of_kernel(until);
    return next(mutex, &then);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    NEXT(sem_timedwait);
    struct timespec then = of_kernel(until);
    return next(semaphore, &then);
}
