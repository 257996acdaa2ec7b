/* Files that receivers and exporters name: read as the collector would at its start. */
#include "cli/doctor.h"
#include "receive/receive.h"

static void check_tls(struct doctor *d, const char *receiver, enum receive_protocol protocol,
                      const struct config_listener *l)
{
    const struct receive_listener options = {
        .protocol = protocol,
        .tls = {l->tls.cert_file, l->tls.key_file, l->tls.client_ca_file, l->tls.min_version},
    };
    struct receive_port *port;
    struct err_info info;

    if (!l->enabled || !l->tls.cert_file)
        return;
    if (receive_port_new(&options, &port, &info) == ERR_OK) {
        receive_port_unref(port);
        doctor_say(d, FINDING_OK, "files", "%s: tls has a certificate and its key", receiver);
        return;
    }
    doctor_say(d, FINDING_FAIL, "files", "%s: %s", receiver, info.text);
    doctor_advise("PEM files that this user may read, by paths from where the collector starts");
}

static void check_exporters(struct doctor *d, const struct exporter_specs *specs)
{
    struct err_info info;

    for (size_t i = 0; i < exporter_specs_count(specs); i++) {
        if (exporter_specs_look(specs, i, &info) == ERR_OK)
            continue;
        doctor_say(d, FINDING_FAIL, "files", "%s", info.text);
        doctor_advise(
            "make it, or give it to this user, or name another one; paths begin where the "
            "collector starts");
    }
}

void doctor_check_files(struct doctor *d, const struct setup *s, const struct setup_loaded *l)
{
    struct exporter_specs *specs = NULL;
    struct err_info info;

    check_tls(d, "receivers.otlp.grpc", RECEIVE_GRPC, &l->config->grpc);
    check_tls(d, "receivers.otlp.http", RECEIVE_HTTP, &l->config->http);
    if (setup_exporters(s, l->L, &specs, NULL, &info) != ERR_OK) {
        doctor_say(d, FINDING_FAIL, "files", "%s", info.text);
        doctor_advise("the exporters could be read a moment ago: was a script changed?");
    } else if (specs) {
        check_exporters(d, specs);
        exporter_specs_unref(specs);
    }
}
