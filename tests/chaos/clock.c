/* The machine's clock, so many seconds off as the file CHAOS_CLOCK holds now: all processes that map it are stepped at once.
   The steady clock is left alone, as it is when a machine's time is set. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *off;

__attribute__((constructor)) static void find(void)
{
  const char *path = getenv("CHAOS_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0)
    return;
  void *place = mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, file, 0);
  off = place == MAP_FAILED ? NULL : place;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  long failed = syscall(SYS_clock_gettime, clock, now);
  if (!failed && off && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *off;
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
  long failed = syscall(SYS_gettimeofday, now, zone);
  if (!failed && off)
    now->tv_sec += *off;
  return failed;
}

time_t time(time_t *place)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place)
    *place = now.tv_sec;
  return now.tv_sec;
}
