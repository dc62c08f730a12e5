/* dicom/transport.hh: DCMTK's view of our connections while it negotiates.
 *
 * With an external socket handle set (net.cc) DCMTK accepts nothing itself: it asks the transport
 * layer for a connection, and ours hands out the one that this thread has prepared. So the global
 * handle is set once, to a dummy, and no lock is needed. DCMTK reads the A-ASSOCIATE-RQ out of
 * memory and writes the A-ASSOCIATE-AC through vt_conn; it owns the wrapper, never the connection,
 * and is gone once the association stands. */
#pragma once

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dcmtrans.h>

struct vt_conn;

namespace vt
{

/* DCMTK's network, made by vt_net_start; NULL before. Read only. */
T_ASC_Network *network();

/* For the next ASC_receiveAssociation of this thread; NULL takes it back. */
void prepare_connection(struct vt_conn *conn);

class layer : public DcmTransportLayer
{
  public:
    DcmTransportConnection *createConnection(DcmNativeSocketType socket, OFBool secure) override;
};

} // namespace vt
