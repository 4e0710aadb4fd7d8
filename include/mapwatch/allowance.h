/* Of what the kernel side holds (bpf/allowance.bpf.h), the numbers that user space reckons with when it tells how long
 * a race stays unseen (user/govern/odds.cpp). */
#ifndef MAPWATCH_ALLOWANCE_H
#define MAPWATCH_ALLOWANCE_H

/* A pair of sites is young until it was held for this long: its map has its turn so many times as often, for two
 * goroutines that come by every 10 ms meet in one of 50 to 200 dwells. A one-time cost of each pair, within the
 * process's bucket. */
#define MW_YOUNG_NS 40000000ull
#define MW_YOUNG_TURNS 4u
/* Of the candidates that nobody is due to meet one in so many is held as well. */
#define MW_UNDUE_ONE_IN 4u

#endif
