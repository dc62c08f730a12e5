#include "dicom/transport.hh"

#include <cstring>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/conn.h"

namespace vt
{

namespace
{

constexpr int64_t answer_time = 30 * VT_NS_PER_S; /* for the A-ASSOCIATE-AC to leave */

thread_local struct vt_conn *prepared;

/* Borrows the connection: closing it is the association's business. */
class connection : public DcmTCPConnection
{
  public:
    explicit connection(struct vt_conn *conn) : DcmTCPConnection(-1), conn_(conn)
    {
    }

    /* The request lies in the buffer, whole; what DCMTK wants beyond it is not there. */
    ssize_t read(void *bytes, size_t wanted) override
    {
        size_t size = conn_ ? vt_conn_buffered(conn_) : 0;
        if (size > wanted)
            size = wanted;
        if (size > 0) {
            memcpy(bytes, vt_conn_bytes(conn_), size);
            vt_conn_consume(conn_, size);
        }
        return static_cast<ssize_t>(size);
    }

    ssize_t write(void *bytes, size_t size) override
    {
        struct vt_err err = {};
        bool ok =
            conn_ && vt_conn_send_bytes(conn_, bytes, size, vt_clock_mono() + answer_time, &err);
        return ok ? static_cast<ssize_t>(size) : 0;
    }

    OFBool networkDataAvailable(int) override
    {
        return conn_ && vt_conn_buffered(conn_) > 0;
    }

    OFCondition serverSideHandshake() override
    {
        return EC_Normal;
    }

    void close() override
    {
        conn_ = nullptr;
    }

    void closeTransportConnection() override
    {
        conn_ = nullptr;
    }

  private:
    struct vt_conn *conn_;
};

} // namespace

void prepare_connection(struct vt_conn *conn)
{
    prepared = conn;
}

DcmTransportConnection *layer::createConnection(DcmNativeSocketType, OFBool)
{
    struct vt_conn *conn = prepared;
    prepared = nullptr;
    return new connection(conn);
}

} // namespace vt
