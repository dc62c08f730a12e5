/* dicom/wire.h: numbers in bytes: PDUs are big endian (PS3.8 9.3.1), command sets little endian.
 * Room only. */
#pragma once

#include <stdint.h>

static inline uint16_t vt_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t vt_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void vt_put_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void vt_put_be32(uint8_t *p, uint32_t value)
{
    vt_put_be16(p, (uint16_t)(value >> 16));
    vt_put_be16(p + 2, (uint16_t)value);
}

static inline uint16_t vt_le16(const uint8_t *p)
{
    return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t vt_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline void vt_put_le16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void vt_put_le32(uint8_t *p, uint32_t value)
{
    vt_put_le16(p, (uint16_t)value);
    vt_put_le16(p + 2, (uint16_t)(value >> 16));
}

/* PDU types (PS3.8 9.3) and the parts of a PDV's header. */
enum {
    VT_PDU_ASSOCIATE_RQ = 1,
    VT_PDU_ASSOCIATE_AC = 2,
    VT_PDU_ASSOCIATE_RJ = 3,
    VT_PDU_P_DATA = 4,
    VT_PDU_RELEASE_RQ = 5,
    VT_PDU_RELEASE_RP = 6,
    VT_PDU_ABORT = 7,
    VT_PDU_HEADER = 6,  /* type, reserved, length */
    VT_PDV_HEADER = 6,  /* length, context, control */
    VT_PDV_COMMAND = 1, /* control bits (PS3.8 E.2) */
    VT_PDV_LAST = 2,
    VT_SHORT_PDU = 10, /* RJ, RELEASE, ABORT: header and four bytes */
};

/* An RJ, RELEASE or ABORT: four bytes behind the header, of which the last three matter. */
static inline void vt_put_short_pdu(uint8_t *p, uint8_t type, uint8_t a, uint8_t b, uint8_t c)
{
    p[0] = type;
    p[1] = 0;
    vt_put_be32(p + 2, 4);
    p[6] = 0;
    p[7] = a;
    p[8] = b;
    p[9] = c;
}
