/* The machine's attributes are what its platform says, and a failure costs only them. */
#include "aws/detect.h"
#include "fake_aws.h"

static int serve(struct fake_aws *f, const char *text, struct buf *body)
{
    static const char instance[] = "GET http://169.254.169.254/latest/";

    if (f->mode)
        return f->mode > 0 ? f->mode : 0;
    if (begins(text, "GET http://169.254.170.2/v4/abc/task\n")) {
        buf_str(body, "{\"Cluster\":\"prod\",\"TaskARN\":\"arn:aws-cn:ecs:cn-north-1:123456789012:"
                      "task/prod/1\",\"Family\":\"shop\",\"Revision\":\"7\",\"LaunchType\":"
                      "\"FARGATE\",\"AvailabilityZone\":\"cn-north-1a\",\"Containers\":[{}]}");
        return 200;
    }
    if (begins(text, "PUT http://169.254.169.254/latest/api/token\n")) {
        buf_str(body, "T");
        return 200;
    }
    CHECK(strstr(text, "\nX-aws-ec2-metadata-token: T\n") != NULL);
    if (!begins(text, instance))
        return 404;
    text += strlen(instance);
    if (begins(text, "dynamic/instance-identity/document\n"))
        buf_str(body, "{\"accountId\":\"210987654321\",\"region\":\"eu-west-1\","
                      "\"availabilityZone\":\"eu-west-1b\",\"instanceId\":\"i-1\","
                      "\"instanceType\":\"m7g.large\",\"imageId\":\"ami-1\",\"kernelId\":null}");
    else if (begins(text, "meta-data/hostname\n"))
        buf_str(body, "ip-10-0-0-1.internal");
    else
        return 404;
    return 200;
}

/* Runs the detectors: for at most 5 seconds. */
static void detect(struct fake_aws *f, struct detect *d, const char *const *names)
{
    static struct aws_settings settings;
    struct aws_http http = fake_http(f);
    uint64_t end_ns = f->now_ns + 5 * NS_PER_S;

    settings = (struct aws_settings){.env = fake_env, .disk = f->disk};
    detect_begin(d, &settings, &http, names);
    while (!d->is_done && f->now_ns < end_ns) {
        uint64_t due = detect_step(d, f->now_ns);

        if (!fake_answer_all(f))
            f->now_ns = earlier_ns(due > f->now_ns ? due : f->now_ns, end_ns);
    }
    detect_give_up(d);
}

static bool has(const struct detect *d, const char *key, const char *value)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->pairs[i].key, key) == 0)
            return value && strcmp(d->pairs[i].value, value) == 0;
    return value == NULL;
}

static bool said(const struct detect *d, const char *text)
{
    return memmem(d->errors.data ? d->errors.data : (const void *)"", d->errors.len, text,
                  strlen(text)) != NULL;
}

static struct detect d; /* large */

static void the_environment_says_attributes(void)
{
    struct fake_aws *f = fake_aws_new(serve);

    fake_set("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb, deployment.environment = prod ,empty=");
    fake_set("K8S_NODE_NAME", "node-1");
    fake_set("K8S_POD_NAME", "moontail-0");
    detect(f, &d, (const char *const[]){"env", "k8s", NULL});
    CHECK(has(&d, "team", "a,b") && has(&d, "deployment.environment", "prod"));
    CHECK(has(&d, "empty", NULL) && has(&d, "k8s.namespace.name", NULL));
    CHECK(has(&d, "k8s.node.name", "node-1") && has(&d, "k8s.pod.name", "moontail-0"));
    CHECK(d.errors.len == 0 && d.count == 4);
    detect_fini(&d);
    fake_set("OTEL_RESOURCE_ATTRIBUTES", "a=1,b");
    detect(f, &d, (const char *const[]){"env", NULL});
    CHECK(said(&d, "env: OTEL_RESOURCE_ATTRIBUTES is not") && has(&d, "a", "1"));
    detect_fini(&d);
    fake_set("OTEL_RESOURCE_ATTRIBUTES", "a=%zz");
    detect(f, &d, (const char *const[]){"env", NULL});
    CHECK(d.errors.len > 0 && d.count == 0);
    detect_fini(&d);
    fake_aws_free(f);
}

static void a_task_says_where_it_runs(void)
{
    struct fake_aws *f = fake_aws_new(serve);

    fake_set("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/abc");
    detect(f, &d, (const char *const[]){"ecs", NULL});
    CHECK(has(&d, "cloud.provider", "aws") && has(&d, "cloud.platform", "aws_ecs"));
    CHECK(has(&d, "cloud.region", "cn-north-1") && has(&d, "cloud.account.id", "123456789012"));
    CHECK(has(&d, "cloud.availability_zone", "cn-north-1a"));
    CHECK(has(&d, "aws.ecs.cluster.arn", "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/prod"));
    CHECK(has(&d, "aws.ecs.task.arn", "arn:aws-cn:ecs:cn-north-1:123456789012:task/prod/1"));
    CHECK(has(&d, "aws.ecs.task.family", "shop") && has(&d, "aws.ecs.task.revision", "7"));
    CHECK(has(&d, "aws.ecs.launchtype", "fargate") && d.errors.len == 0);
    detect_fini(&d);
    fake_aws_free(f);
}

static void the_first_detector_that_knows_a_key_has_it(void)
{
    struct fake_aws *f = fake_aws_new(serve);

    fake_set("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    fake_set("AWS_REGION", "eu-west-1");
    detect(f, &d, (const char *const[]){"eks", "ec2", NULL});
    CHECK(has(&d, "cloud.platform", "aws_eks") && has(&d, "cloud.region", "eu-west-1"));
    CHECK(has(&d, "cloud.account.id", "210987654321") && has(&d, "host.id", "i-1"));
    CHECK(has(&d, "cloud.availability_zone", "eu-west-1b") && has(&d, "host.type", "m7g.large"));
    CHECK(has(&d, "host.image.id", "ami-1") && has(&d, "host.name", "ip-10-0-0-1.internal"));
    CHECK(d.errors.len == 0);
    detect_fini(&d);
    fake_aws_free(f);
}

static void a_detector_that_fails_costs_only_its_attributes(void)
{
    struct fake_aws *f = fake_aws_new(serve);

    fake_set("K8S_NODE_NAME", "node-1");
    f->mode = 500;
    detect(f, &d, (const char *const[]){"eks", "ecs", "ec2", "k8s", NULL});
    CHECK(said(&d, "eks: this is no pod") && said(&d, "ecs: this is no task"));
    CHECK(said(&d, "ec2: ") && d.count == 1 && has(&d, "k8s.node.name", "node-1"));
    detect_fini(&d);

    f->mode = -1; /* no answer at all */
    fake_set("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/abc");
    detect(f, &d, (const char *const[]){"ecs", "ec2", NULL});
    CHECK(said(&d, "ecs: ") && said(&d, "ec2: ") && d.count == 0);
    detect_fini(&d);

    fake_set("ECS_CONTAINER_METADATA_URI_V4", "http://example.com/v4/abc");
    fake_set("AWS_EC2_METADATA_DISABLED", "true");
    f->served = 0;
    detect(f, &d, (const char *const[]){"ecs", "ec2", NULL});
    CHECK(said(&d, "not an address of this machine") && said(&d, "AWS_EC2_METADATA_DISABLED"));
    CHECK(f->served == 0);
    detect_fini(&d);
    fake_aws_free(f);
}

static void what_is_under_way_is_given_up(void)
{
    struct fake_aws *f = fake_aws_new(serve);
    struct aws_settings settings = {.env = fake_env, .disk = f->disk};
    struct aws_http http = fake_http(f);

    detect_begin(&d, &settings, &http, (const char *const[]){"ec2", "k8s", NULL});
    CHECK(!d.is_done);
    detect_give_up(&d);
    CHECK(d.is_done && f->cancelled == 1);
    CHECK(said(&d, "ec2: no answer in time\nk8s: no answer in time\n"));
    detect_fini(&d);
    fake_aws_free(f);
}

int main(void)
{
    RUN(the_environment_says_attributes);
    RUN(a_task_says_where_it_runs);
    RUN(the_first_detector_that_knows_a_key_has_it);
    RUN(a_detector_that_fails_costs_only_its_attributes);
    RUN(what_is_under_way_is_given_up);
    return DONE();
}
