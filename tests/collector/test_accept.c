/* Scenarios of connections that can't be accepted. */
#include "scenario.h"

static enum err (*accept_one)(struct net *n, int listener, int *fd);
static bool out_of_descriptors;
static int refused;

static enum err accept_or_refuse(struct net *n, int listener, int *fd)
{
    if (!out_of_descriptors)
        return accept_one(n, listener, fd);
    refused++;
    return ERR_FULL;
}

static void without_descriptors_it_waits_and_then_accepts(void)
{
    const struct test_span span = {.trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 1};
    struct net *net;
    struct sim s;
    int fd;

    sim_init(&s, &(struct sim_options){
                     .config = CONFIG("policies = { policy 'always_sample' }", "exporter 'nop'")});
    net = fake_net_net(s.net);
    accept_one = net->accept;
    net->accept = accept_or_refuse;
    out_of_descriptors = true;
    fd = sim_connect(&s);
    sim_run(&s, NS_PER_S);
    CHECK(refused >= 5 && refused <= 12); /* a look each 100 ms, not a busy loop */
    out_of_descriptors = false;
    sim_run(&s, NS_PER_S);
    post(&s, fd, &span, 1);
    sim_run(&s, 13 * NS_PER_S);
    CHECK(sim_kept(&s, "always_sample", NULL) == 1);
    balanced(&s);
    sim_fini(&s);
}

static void who_comes_in_a_burst_is_taken_in_the_end(void)
{
    struct sim s;
    int fds[400]; /* more than a worker takes over at once */
    unsigned closed = 0;

    sim_init(&s, &(struct sim_options){
                     .config = CONFIG("policies = { policy 'always_sample' }", "exporter 'nop'")});
    for (unsigned i = 0; i < 400; i++)
        fds[i] = sim_connect(&s);
    sim_run(&s, 100 * NS_PER_MS);
    for (unsigned i = 0; i < 400; i++)
        closed += fake_net_is_closed(s.net, fds[i]) != 0;
    CHECK(closed == 0);
    CHECK(sim_ledger(&s)->receive.connections == 400);
    sim_fini(&s);
}

int main(void)
{
    RUN(who_comes_in_a_burst_is_taken_in_the_end);
    RUN(without_descriptors_it_waits_and_then_accepts);
    return DONE();
}
