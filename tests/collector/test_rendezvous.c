#include "check.h"
#include "collector/rendezvous.h"

/* Two threads pass tokens to and fro; a snapshot that balances never sees one twice or not at all.
 */
enum { THREADS = 2, TOKENS = 1000 };

struct player {
    struct rendezvous *rendezvous;
    _Atomic bool *stop;
    struct loop *loop;
    _Atomic int *to_me, *to_other;
    int held, copied_held, copied_to_me;
};

static void copy(void *arg)
{
    struct player *p = arg;

    p->copied_held = p->held;
    p->copied_to_me = atomic_load(p->to_me);
}

static void *play(void *arg)
{
    struct player *p = arg;
    unsigned seen = 0;

    while (!atomic_load(p->stop)) {
        p->held += atomic_exchange(p->to_me, 0);
        if (p->held > 0) {
            p->held--;
            atomic_fetch_add(p->to_other, 1);
        }
        rendezvous_attend(p->rendezvous, &seen, copy, p);
    }
    return NULL;
}

static void a_snapshot_balances_while_threads_pass_things_on(void)
{
    struct rendezvous r;
    _Atomic bool stop = false;
    _Atomic int mail[THREADS] = {0, 0};
    struct player players[THREADS];
    struct loop *loops[THREADS];
    pthread_t threads[THREADS];
    int held_in_time = 0;

    rendezvous_init(&r, THREADS);
    for (int i = 0; i < THREADS; i++) {
        loops[i] = loop_new(clock_system());
        players[i] = (struct player){.rendezvous = &r,
                                     .stop = &stop,
                                     .loop = loops[i],
                                     .to_me = &mail[i],
                                     .to_other = &mail[1 - i],
                                     .held = TOKENS};
        pthread_create(&threads[i], NULL, play, &players[i]);
    }
    for (int round = 0; round < 200; round++) {
        int sum = 0;

        if (!rendezvous_hold(&r, loops, THREADS, 10 * NS_PER_S))
            continue;
        held_in_time++;
        for (int i = 0; i < THREADS; i++)
            sum += players[i].copied_held + players[i].copied_to_me;
        CHECK(sum == THREADS * TOKENS);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        loop_free(loops[i]);
    }
    CHECK(held_in_time > 0);
    rendezvous_fini(&r);
}

static void a_thread_that_does_not_come_is_not_waited_for(void)
{
    struct rendezvous r;
    struct loop *loop = loop_new(clock_system());

    rendezvous_init(&r, 1);
    CHECK(!rendezvous_hold(&r, &loop, 1, NS_PER_MS));
    loop_free(loop);
    rendezvous_fini(&r);
}

int main(void)
{
    RUN(a_snapshot_balances_while_threads_pass_things_on);
    RUN(a_thread_that_does_not_come_is_not_waited_for);
    return DONE();
}
