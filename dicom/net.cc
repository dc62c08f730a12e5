#include "dicom/net.h"

#include <csignal>
#include <cstdlib>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>

#include "dicom/transport.hh"

#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/oflog/oflog.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/guard.hh"
#include "dicom/tags.h"

namespace
{

constexpr int dcmtk_timeout = 30; /* seconds; DCMTK reads from memory, so it never waits */

/* Written by the main thread before any other runs. */
T_ASC_Network *started;
vt::layer layer;
int dummy[2] = { -1, -1 };

void close_dummy()
{
    for (int &fd : dummy) {
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
}

/* DCMTK wants a descriptor above 0 that answers getpeername and setsockopt. */
bool make_dummy(struct vt_err *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, dummy) != 0)
        return vt_fail_errno(err, "starting DCMTK's network");
    if (dummy[0] == 0) {
        dummy[0] = dup(dummy[0]);
        close(0);
    }
    return dummy[0] > 0 || vt_fail_errno(err, "starting DCMTK's network");
}

bool start(const struct vt_net_options *options, struct vt_err *err)
{
    /* DCMTK would set these on the dummy, which is no TCP socket, and refuse every association
     * then. */
    unsetenv("TCP_NODELAY");
    unsetenv("TCP_BUFFER_LENGTH");
    OFLog::configure(options && options->dcmtk_debug ? OFLogger::DEBUG_LOG_LEVEL
                                                     : OFLogger::OFF_LOG_LEVEL);
    if (!vt_dict_load(err) || !make_dummy(err))
        return false;
    dcmExternalSocketHandle.set(dummy[0]);
    dcmDisableGethostbyaddr.set(OFTrue);
    dcmSocketReceiveTimeout.set(-1);
    dcmSocketSendTimeout.set(-1);

    T_ASC_Network *made = nullptr;
    OFCondition result = ASC_initializeNetwork(NET_ACCEPTOR, 0, dcmtk_timeout, &made);
    if (result.good())
        result = ASC_setTransportLayer(made, &layer, 0);
    if (result.bad()) {
        ASC_dropNetwork(&made);
        close_dummy();
        return vt::failed(err, VT_E_INTERNAL, result, "starting DCMTK's network");
    }
    started = made;
    return true;
}

} // namespace

T_ASC_Network *vt::network()
{
    return started;
}

extern "C" bool vt_net_start(const struct vt_net_options *options, struct vt_err *err)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    return vt::guarded(err, [&] { return started || start(options, err); });
}

extern "C" void vt_net_stop(void)
{
    vt::quietly([] {
        if (started)
            ASC_dropNetwork(&started);
        started = nullptr;
        dcmExternalSocketHandle.set(-1);
        close_dummy();
    });
}
