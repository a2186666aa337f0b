/* SPDX-License-Identifier: Apache-2.0
 * The permit protocol of controller/fleet.c + rounds.c and agent/orders.c, for one shard at N sites of one node.
 *
 * Parties: N agents (clock, service, route, what their disk says) and one controller (what it heard, what it booked).
 * Network: a message arrives at once, or is held up, or both (duplication). What is held up arrives at any later time,
 * again and again (duplication), after newer ones (reordering), or never (loss).
 * Crashes at any time: an agent comes back with what its disk says (which is all it has, so that is no step), or
 * after a reboot without its permit; a controller comes back with the next epoch and no memory, and old messages are
 * still under way. Clocks are the agents' own and run independently: nobody compares the clocks of two machines.
 *
 * Properties, after every step:
 * sound()          whom the controller counts on announces, and holds no permit. It speaks of one site alone, so it is
 *                  verified with N = 1, whose controller gives permits and orders as it likes, and far bounds.
 * must_be_enough() however services die, routes that go by the use of a permit, or by the controller's order, never
 *                  leave fewer than MIN sites announcing. It follows (a permit or an order goes out only while MIN
 *                  others are counted on), and is verified with N = 2, MIN = 1 as well.
 *
 * tests/spin/run.sh verifies both, and that each mutation (MUT_...) below is caught. */
#ifndef N
#define N 1
#endif
#define MIN (N - 1)
#ifndef CLOCK_MAX
#define CLOCK_MAX 6 /* of one agent's clock; a report takes a tick */
#endif
#ifndef SEQ_MAX
#define SEQ_MAX 4 /* directives to one agent in one epoch */
#endif
#ifndef LEASE
#define LEASE 2
#endif
#ifndef EPOCH_MAX
#define EPOCH_MAX 2 /* terms of the controller */
#endif
#define NEVER (CLOCK_MAX + LEASE + 1)

/* -- agents -- */
bool up[N] = true;
bool announced[N] = true;
byte clock[N] = 1;
byte a_epoch[N];   /* newest directive obeyed */
byte a_seq[N];
byte a_end[N];	   /* of the permit; 0: none */
bool a_withdraw[N]; /* the controller's order */

/* -- controller: what it heard and booked in this epoch -- */
byte epoch = 1;
byte seq[N];
byte heard[N];	  /* boot_us of the newest report; 0: none */
bool serves[N];	  /* up and announced, in that report */
bool known[N];	  /* answered to a directive of this epoch */
bool permit[N];
byte end_at[N];
byte revoke[N];	  /* directive that took the permit back; 0: none */
bool c_withdraw[N];

/* -- held up -- */
chan late_directive[N] = [1] of { byte, byte, bool, byte, bool }; /* epoch, seq, permit, heard, withdraw */
chan late_report[N] = [1] of { byte, byte, byte, bool };	  /* clock, epoch, seq, serves */

hidden byte i, j, rest, e, s, h, c;
hidden byte p, w, v;

inline must_be_enough()
{
	rest = 0;
	j = 0;
	do
	:: j < N -> rest = rest + (announced[j] -> 1 : 0); j++
	:: else -> break
	od;
	assert(rest >= MIN)
}

/* orders.c: e, s, p, h, w */
inline take_directive()
{
	if
	:: e > a_epoch[i] || (e == a_epoch[i] && s > a_seq[i]) ->
		a_epoch[i] = e; a_seq[i] = s; a_withdraw[i] = w;
#ifdef MUT_ARRIVAL /* the lease starts when the directive arrives */
		a_end[i] = (p -> clock[i] + LEASE : 0);
#else
		a_end[i] = (p -> h + LEASE : 0);
#endif
		a_end[i] = (a_end[i] > clock[i] -> a_end[i] : 0);
		if
		:: w && announced[i] -> announced[i] = false; must_be_enough()
		:: !w && up[i] -> announced[i] = true
		:: else
		fi
	:: else
	fi
}

/* fleet.c, on_report: c, e, s, v */
inline take_report()
{
	if
	:: c > heard[i] ->
		heard[i] = c; serves[i] = v;
		if
		:: e == epoch && s > 0 ->
			known[i] = true;
			if
			:: revoke[i] && s >= revoke[i] -> permit[i] = false; revoke[i] = 0; end_at[i] = 0
			:: else
			fi
		:: else
		fi;
		if
		:: permit[i] && c >= end_at[i] -> permit[i] = false; revoke[i] = 0; end_at[i] = 0
		:: else
		fi
	:: else
	fi
}

/* at once, held up, or both */
inline put_directive()
{
	if
	:: take_directive()
	:: full(late_directive[i]) -> skip /* lost */
	:: nfull(late_directive[i]) -> late_directive[i]!e, s, p, h, w
	:: nfull(late_directive[i]) -> late_directive[i]!e, s, p, h, w; take_directive()
	fi
}

inline put_report()
{
	if
	:: take_report()
	:: nfull(late_report[i]) -> late_report[i]!c, e, s, v
	:: nfull(late_report[i]) -> late_report[i]!c, e, s, v; take_report()
	fi
}

#define COUNTED(j) (known[j] && !permit[j] && !c_withdraw[j] && serves[j])

inline sound()
{
	j = 0;
	do
	:: j < N -> assert(!COUNTED(j) || (announced[j] && a_end[j] <= clock[j])); j++
	:: else -> break
	od
}

/* Sites aside from i that remain when every permit is used. */
inline count_left()
{
	rest = 0;
	j = 0;
	do
	:: j < N -> rest = rest + ((j != i && COUNTED(j)) -> 1 : 0); j++
	:: else -> break
	od
}

/* fleet.c, direct() and book_permits(): p */
inline send_directive()
{
	seq[i]++;
	e = epoch; s = seq[i]; h = heard[i]; w = c_withdraw[i];
	if
	:: p -> permit[i] = true; revoke[i] = 0; end_at[i] = h + LEASE
	:: !p && permit[i] && !revoke[i] -> revoke[i] = s
	:: else
	fi;
#ifdef MUT_CONFIRM /* what is taken back counts as back at once */
	if
	:: !p -> permit[i] = false; revoke[i] = 0; end_at[i] = 0
	:: else
	fi;
#endif
	put_directive()
}

inline controller_crash()
{
	epoch++;
	j = 0;
	do
	:: j < N ->
		seq[j] = 0; heard[j] = 0; serves[j] = false; permit[j] = false; end_at[j] = 0; revoke[j] = 0;
		c_withdraw[j] = false;
#ifdef MUT_RESTART /* it believes that no permit is out */
		known[j] = true;
#else
		known[j] = false;
#endif
		j++
	:: else -> break
	od
}

active proctype world()
{
end:	do
	:: atomic { true ->
		i = 0;
		do
		:: i < N - 1 -> i++
		:: true -> break
		od;
		if
		/* -- an agent -- */
		:: clock[i] < CLOCK_MAX -> clock[i]++; a_end[i] = (a_end[i] > clock[i] -> a_end[i] : 0)
		:: up[i] -> up[i] = false
		:: !up[i] -> up[i] = true; announced[i] = !a_withdraw[i]
		:: !up[i] && announced[i] && a_end[i] > clock[i] -> /* failsafe.c: a dead service with a permit */
			announced[i] = false; must_be_enough()
		:: clock[i] < CLOCK_MAX -> /* a report */
			clock[i]++;
			a_end[i] = (a_end[i] > clock[i] -> a_end[i] : 0);
			c = clock[i]; e = a_epoch[i]; s = a_seq[i]; v = up[i] && announced[i];
			put_report()
		:: a_end[i] -> a_end[i] = 0 /* a reboot */
		/* -- the network -- */
		:: nempty(late_directive[i]) -> late_directive[i]?e, s, p, h, w; take_directive()
		:: nempty(late_directive[i]) -> late_directive[i]?<e, s, p, h, w>; take_directive()
		:: nempty(late_report[i]) -> late_report[i]?c, e, s, v; take_report()
		:: nempty(late_report[i]) -> late_report[i]?<c, e, s, v>; take_report()
		/* -- the controller -- */
		/* a permit, if I1 holds with it and all others used; not to somebody who is yet to obey an end of a
		 * withdrawal: the lease's end would be taken for his answer */
		:: seq[i] < SEQ_MAX && heard[i] && !c_withdraw[i] && end_at[i] <= CLOCK_MAX + LEASE ->
			count_left();
			p = true;
			if
			:: rest >= MIN -> send_directive()
			:: else
			fi
		:: seq[i] < SEQ_MAX -> p = false; send_directive() /* none, or none any more */
#ifdef ORDERS
		/* an order to withdraw waits until what is out may be used beside it; it takes the permit, too */
		:: seq[i] < SEQ_MAX && heard[i] && !c_withdraw[i] ->
			count_left();
#ifdef MUT_ORDER /* it does not look at permits */
			rest = 0;
			j = 0;
			do
			:: j < N -> rest = rest + ((j != i && !c_withdraw[j] && serves[j]) -> 1 : 0); j++
			:: else -> break
			od;
#endif
			p = false;
			if
			:: rest >= MIN -> c_withdraw[i] = true; send_directive()
			:: else
			fi
		/* announced again: counted on when a report answers to it */
		:: seq[i] < SEQ_MAX && c_withdraw[i] ->
			c_withdraw[i] = false; p = false;
			permit[i] = true; end_at[i] = NEVER; revoke[i] = 0;
			send_directive()
#endif
#ifdef MUT_SILENT /* our own clock says that the lease has run out */
		:: permit[i] -> permit[i] = false; revoke[i] = 0; end_at[i] = 0
#endif
		:: epoch < EPOCH_MAX -> controller_crash()
		fi;
		sound();
		j = 0; rest = 0; e = 0; s = 0; h = 0; c = 0; p = 0; w = 0; v = 0 }
	od
}
