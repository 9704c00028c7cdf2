// Copyright 2026 pose3d_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* A slow disk for some processes alone: LD_PRELOAD it, and name in SLOW_DISK a folder, and in
 * SLOW_DISK_RATE how many bytes a second a file below it takes.
 *
 * Files grow piece by piece, and as with a disk no signal ends the waiting. What stdio writes does
 * not come by write() as others see it: for that, fwrite waits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536
#define NEXT(name) static __typeof__(&name) next; if (!next) next = dlsym(RTLD_NEXT, #name)

static const char *folder;
static double rate;

__attribute__((constructor)) static void begin(void)
{
    const char *bytes = getenv("SLOW_DISK_RATE");
    folder = getenv("SLOW_DISK");
    rate = bytes ? atof(bytes) : 0;
    if (!folder || rate <= 0)
        abort();
}

static int is_slow(int file)
{
    int before = errno;
    char link[40], path[PATH_MAX];
    size_t length = strlen(folder);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path);
    errno = before;
    return size > (ssize_t)length && !memcmp(path, folder, length) && path[length] == '/';
}

static void wait_for(size_t bytes)
{
    int before = errno;
    int64_t ns = (int64_t)((double)bytes / rate * 1e9);
    struct timespec left = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
    errno = before;
}

#define SLOWLY(call, at_most) \
    ssize_t done = 0; \
    do { \
        size_t piece = size - done < (at_most) ? size - done : (at_most); \
        ssize_t written = call; \
        if (written < 0) \
            return done ? done : -1; \
        done += written; \
        wait_for(written); \
    } while ((size_t)done < size); \
    return done

ssize_t write(int file, const void *data, size_t size)
{
    NEXT(write);
    if (!is_slow(file))
        return next(file, data, size);
    SLOWLY(next(file, (const char *)data + done, piece), PIECE);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at)
{
    NEXT(pwrite64);
    if (!is_slow(file))
        return next(file, data, size, at);
    SLOWLY(next(file, (const char *)data + done, piece, at + done), PIECE);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at)
{
    return pwrite64(file, data, size, at);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    NEXT(writev);
    ssize_t written = next(file, parts, count);
    if (written > 0 && is_slow(file))
        wait_for(written);
    return written;
}

size_t fwrite(const void *restrict data, size_t size, size_t count, FILE *restrict stream)
{
    NEXT(fwrite);
    size_t written = next(data, size, count, stream);
    if (written && is_slow(fileno(stream)))
        wait_for(written * size);
    return written;
}
