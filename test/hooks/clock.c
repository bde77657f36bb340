/*
 * test/hooks/clock.c
 *	  A server's clock that can be set: what it shows is the machine's and the
 *	  number of seconds that is in a file.
 *
 * Preloaded with LD_PRELOAD, NVS_CLOCK being the file, of eight bytes.  The clocks
 * that nobody can set stay as they are, and so do sleeps.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int			nvs_real_clock(clockid_t clock, struct timespec *now);

/* By how many seconds the clock is ahead. */
static int64_t
ahead(void)
{
	static const volatile int64_t *seconds = NULL;

	if (seconds == NULL)
	{
		const char *path = getenv("NVS_CLOCK");
		int			fd = path == NULL ? -1 : open(path, O_RDONLY);

		if (fd < 0)
			return 0;
		seconds = mmap(NULL, sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	return *seconds;
}

/* What the machine's clock shows. */
int
nvs_real_clock(clockid_t clock, struct timespec *now)
{
	static int	(*real) (clockid_t, struct timespec *) = NULL;

	if (real == NULL)
		real = (int (*) (clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	return real(clock, now);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			result = nvs_real_clock(clock, now);

	if (clock == CLOCK_REALTIME)
		now->tv_sec += ahead();
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec real;
	int			result = nvs_real_clock(CLOCK_REALTIME, &real);

	(void) zone;
	now->tv_sec = real.tv_sec + ahead();
	now->tv_usec = real.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *now)
{
	struct timeval real;

	(void) gettimeofday(&real, NULL);
	if (now != NULL)
		*now = real.tv_sec;
	return real.tv_sec;
}
