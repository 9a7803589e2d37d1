/* A node's clocks, as the nemesis wants them: loaded before libc, it answers for clock_gettime and its kin.
   The file named by ATOLL_NEMESIS_CLOCK says by how much they are off; it is read at every call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct skew {
    uint64_t turn;       /* odd while the rest is being written */
    int64_t date;        /* added to the date, in ns */
    int64_t since;       /* CLOCK_BOOTTIME, in ns, from which the rate counts */
    int64_t gained;      /* what all clocks had gained by then, in ns */
    int64_t millionths;  /* what they gain since */
};

static volatile struct skew *skew;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("ATOLL_NEMESIS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(0, sizeof(struct skew), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (at != MAP_FAILED) skew = at;
}

static int64_t nanos(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (!real) begin();
    int failed = real(clock, out);
    if (failed || !skew) return failed;
    int is_date = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (!is_date && clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE && clock != CLOCK_MONOTONIC_RAW
        && clock != CLOCK_BOOTTIME)
        return 0;
    struct skew now;
    do {
        now.turn = skew->turn;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        now.date = skew->date, now.since = skew->since, now.gained = skew->gained, now.millionths = skew->millionths;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (now.turn & 1 || now.turn != skew->turn);
    struct timespec boot;
    real(CLOCK_BOOTTIME, &boot);
    int64_t time = nanos(*out) + now.gained + (nanos(boot) - now.since) / 1000 * now.millionths / 1000;
    if (is_date) time += now.date;
    out->tv_sec = time / 1000000000, out->tv_nsec = time % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec time;
    int failed = clock_gettime(CLOCK_REALTIME, &time);
    out->tv_sec = time.tv_sec, out->tv_usec = time.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *out) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (out) *out = time.tv_sec;
    return time.tv_sec;
}
