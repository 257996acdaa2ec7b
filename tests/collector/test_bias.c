/* What the control socket says of what sampling leaves out. */
#include "collector/rendezvous.h"
#include "scenario.h"

#define PAY "policy { name = 'pay', decide = function() return drop('not needed') end }"

static void post_traces(struct sim *s, unsigned count)
{
    int fd = sim_connect(s);

    for (unsigned i = 0; i < count; i++) {
        struct test_span span = only_span(i + 1, "POST /pay");

        post(s, fd, &span, 1);
    }
    sim_run(s, 1500 * NS_PER_MS);
}

static bool says_all_are_dropped(const struct sim *s)
{
    struct buf out;
    bool says;

    buf_init(&out, 4096, NULL);
    CHECK(collector_control(s->collector, slice_str("bias"), &out) == ERR_OK);
    buf_byte(&out, '\0');
    says = strstr((char *)out.data, "100 of 100 traces dropped by pay (not needed), 0 kept");
    buf_fini(&out);
    return says;
}

static void a_thread_without_a_cpu_does_not_make_it_look_as_if_nothing_were_left_out(void)
{
    struct rendezvous nobody_comes;
    struct sim s;

    sim_init(&s,
             &(struct sim_options){.config = CONFIG("decision_wait = '1s', policies = { " PAY " }",
                                                    "exporter 'nop'")});
    post_traces(&s, 100);
    CHECK(says_all_are_dropped(&s));
    rendezvous_init(&nobody_comes, 1);
    collector_set_rendezvous(s.collector, &nobody_comes);
    CHECK(says_all_are_dropped(&s));
    collector_set_rendezvous(s.collector, NULL);
    rendezvous_fini(&nobody_comes);
    sim_fini(&s);
}

int main(void)
{
    RUN(a_thread_without_a_cpu_does_not_make_it_look_as_if_nothing_were_left_out);
    return DONE();
}
