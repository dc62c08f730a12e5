/* poolsim/sim.h: the simulated world: machines on loopback addresses, pools made of them, jobs that
 * take time, faults on demand. The HTTP face (server.h) and the control socket (ctl.h) drive it;
 * tests drive it directly.
 *
 * One thread, no clock of its own: whoever drives it calls vt_sim_advance(world, monotonic ns)
 * before each step. Answers that take time are delivered later through `deliver`, by the ticket
 * that came with the request. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/clock.h"
#include "hypervisor/xmlrpc.h"
#include "poolsim/db.h"
#include "poolsim/spoil.h"

struct vt_sim_world;
struct vt_sim_pool;

enum {
    VT_SIM_ADDRESS_MAX = 32,
    VT_SIM_HOSTS_MAX = 64,
    VT_SIM_VMS_MAX = 100000,
    VT_SIM_BODY_MAX = 300 * 1024, /* XAPI's limit of a request */
    VT_SIM_REPLY_MAX = 256 * 1024 * 1024,
    VT_SIM_LOCAL_SESSIONS_MAX = 64,
    VT_SIM_SESSIONS_MAX = 500, /* per originator; the oldest die */
    VT_SIM_CHAIN_MAX = 30,     /* disks in a chain */
    VT_SIM_TASKS_KEPT = 200,
};

/* ---- failures, as XAPI words them ---- */

struct vt_sim_failure {
    char code[64];
    char params[VT_XAPI_PARAMS_MAX][256];
    size_t count;
};

/* Code and text parameters up to NULL. Returns false. */
bool vt_sim_refuse(struct vt_sim_failure *failure, const char *code, ...) __attribute__((sentinel));
/* SR_BACKEND_FAILURE_<number> ["", text, ""]. Returns false. */
bool vt_sim_refuse_storage(struct vt_sim_failure *failure, int number, const char *text);

/* ---- the world ---- */

struct vt_sim_options {
    uint32_t hosts, vms, spares; /* spares: further hosts, each a pool of its own, that may join */
    uint64_t seed;
    uint16_t port, guest_port;
    bool tls;
    double pace; /* 1.0: tasks take seconds; 0.01: a hundredth of it */
    char password[128];
};

struct vt_sim_machine {
    uint32_t index;
    char address[VT_SIM_ADDRESS_MAX];
    struct vt_sim_world *world;
    struct vt_sim_pool *pool;
    uint32_t host;                           /* its host object in the pool's database */
    bool up;                                 /* powered and its daemon answering */
    bool failed;                             /* taken down by a fault: its guests went silent */
    const char *emergency;                   /* why it is in emergency mode, NULL: it is not */
    char master_address[VT_SIM_ADDRESS_MAX]; /* of a slave */
    bool claims;                             /* it answers as the master although another is */
    int64_t clock_offset;                    /* seconds */
    char local_sessions[VT_SIM_LOCAL_SESSIONS_MAX][VT_SIM_REF_MAX];
    uint32_t local_next;
};

struct vt_sim_pool {
    struct vt_sim_world *world;
    struct vt_sim_db *db;
    struct vt_sim_machine *master;
    uint32_t self; /* the pool object */
    uint32_t next_domid;
    uint32_t vms_made; /* numbers MAC and guest addresses */
    struct vt_sim_job *jobs;
    struct vt_sim_waiter *waiters; /* blocked event.from calls, events.c */
    bool generating;               /* the first state is being made */
    bool retired;                  /* its last host joined another pool */
    const char *join_fault;        /* the next join of its host fails with it; NULL */
    bool looking;                  /* a look at the waiters is due */
    uint64_t seen;                 /* generation at the last look */
};

enum { VT_SIM_AFTER_WORDS = 4 };

struct vt_sim_faults {
    int64_t delay;             /* ns before every answer */
    uint32_t drop_connections; /* so many of the next answers are lost with their connection */
    uint32_t spoil_count;      /* so many of the next answers are spoilt */
    enum vt_sim_spoil spoil;
    bool lose_events; /* the next event.from answers EVENTS_LOST */
    char fail_next_task[64];
    bool hang_next_task; /* the next one that begins does not end, unless it is cancelled */
    uint32_t after_calls; /* so many requests until a command runs; 0: none waits */
    int after_argc;
    char after_words[VT_SIM_AFTER_WORDS][64];
};

struct vt_sim_guests;

struct vt_sim_world {
    struct vt_sim_options options;
    struct vt_sim_machine machines[VT_SIM_HOSTS_MAX];
    uint32_t machine_count;
    struct vt_sim_pool **pools;
    uint32_t pool_count;
    int64_t now;                 /* monotonic ns */
    struct vt_sim_timer *timers; /* a heap */
    uint32_t timer_count, timer_capacity;
    uint64_t timer_serial;
    struct vt_sim_faults faults;
    struct vt_sim_guests *guests; /* NULL: no guest listens */
    /* set by whoever drives the world; may be NULL */
    void (*deliver)(void *context, uint64_t ticket, const struct vt_buf *body);
    void (*machine_changed)(void *context,
                            struct vt_sim_machine *machine); /* up changed: listen, or stop */
    const char *(*certificate)(void *context, struct vt_sim_machine *machine); /* PEM, borrowed */
    void *context;
};

struct vt_sim_world *vt_sim_world_new(const struct vt_sim_options *options);
void vt_sim_world_free(struct vt_sim_world *world);
VT_DEFINE_AUTO(vt_sim_world)

/* Time goes on to `now`; everything due by then happens. */
void vt_sim_advance(struct vt_sim_world *world, int64_t now);
/* Monotonic ns at which something is due next, 0: nothing. */
int64_t vt_sim_next(const struct vt_sim_world *world);

typedef void (*vt_sim_timer_fn)(struct vt_sim_world *world, void *context);
/* After so many ns of world time; not scaled. */
void vt_sim_after(struct vt_sim_world *world, int64_t ns, vt_sim_timer_fn fn, void *context);
/* The same; the world frees the context behind the call. */
void vt_sim_after_owned(struct vt_sim_world *world, int64_t ns, vt_sim_timer_fn fn, void *context);
/* ns of a thing that takes so many milliseconds at pace 1. */
int64_t vt_sim_paced(const struct vt_sim_world *world, int64_t ms);

int64_t vt_sim_wall(
    const struct vt_sim_machine *machine); /* seconds, with the machine's clock offset */
int64_t vt_sim_pool_wall(const struct vt_sim_pool *pool);
struct vt_sim_machine *vt_sim_machine_of(struct vt_sim_pool *pool, uint32_t host); /* NULL: none */
struct vt_sim_machine *vt_sim_machine_at(struct vt_sim_world *world, const char *address);
/* A host by name, uuid or address; NULL. */
struct vt_sim_machine *vt_sim_machine_find(struct vt_sim_world *world, const char *word);
/* An object of the class by name or uuid in any pool; NULL. */
struct vt_sim_object *vt_sim_object_find(struct vt_sim_world *world, enum vt_sim_class class,
                                         const char *word, struct vt_sim_pool **out_pool);
struct vt_sim_pool *vt_sim_pool_new(struct vt_sim_world *world, struct vt_sim_machine *master);
bool vt_sim_is_master(const struct vt_sim_machine *machine);

/* The daemon or the whole machine stops and comes back (failover.c). */
void vt_sim_machine_stop(struct vt_sim_machine *machine, bool failed);
void vt_sim_machine_start(struct vt_sim_machine *machine);
void vt_sim_machine_restart(struct vt_sim_machine *machine, int64_t down_ms);
void vt_sim_become_master(struct vt_sim_machine *machine);
void vt_sim_expire_sessions(struct vt_sim_pool *pool);

/* ---- the first state (generate.c) ---- */

void vt_sim_generate_pool(struct vt_sim_pool *pool, const char *name);
uint32_t vt_sim_generate_host(struct vt_sim_pool *pool, struct vt_sim_machine *machine,
                              const char *name);
void vt_sim_generate_vms(struct vt_sim_pool *pool, uint32_t count);
struct vt_sim_object *vt_sim_make_vm(struct vt_sim_pool *pool, const char *name,
                                     struct vt_sim_object *host, struct vt_sim_object *sr,
                                     bool running);
struct vt_sim_object *vt_sim_make_sr(struct vt_sim_pool *pool, const char *name, const char *type,
                                     bool shared, int64_t size);
void vt_sim_make_pbd(struct vt_sim_pool *pool, struct vt_sim_object *host,
                     struct vt_sim_object *sr);
struct vt_sim_object *vt_sim_make_vdi(struct vt_sim_pool *pool, struct vt_sim_object *sr,
                                      const char *name, int64_t size);
struct vt_sim_object *vt_sim_make_vbd(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                                      struct vt_sim_object *vdi);
struct vt_sim_object *vt_sim_make_vif(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                                      struct vt_sim_object *network);

/* ---- calls (dispatch.c) ---- */

enum vt_sim_outcome {
    VT_SIM_ANSWERED,  /* out holds the body of the reply */
    VT_SIM_DEFERRED,  /* deliver() will bring it */
    VT_SIM_MALFORMED, /* not XML-RPC: HTTP 500 */
};

enum vt_sim_outcome vt_sim_handle(struct vt_sim_world *world, struct vt_sim_machine *machine,
                                  const void *body, size_t size, uint64_t ticket,
                                  struct vt_buf *out);

struct vt_sim_call {
    struct vt_sim_world *world;
    struct vt_sim_machine *machine;
    struct vt_sim_pool *pool;
    struct vt_sim_db *db;
    const char *method;                     /* without "Async." */
    const struct vt_xmlrpc_value *args[10]; /* behind the session */
    uint32_t count;
    struct vt_sim_object *session; /* NULL: a local session, or none */
    const char *session_ref;       /* as it was sent; "" if none */
    bool local;
    bool async;
    uint64_t ticket;
    struct vt_xmlrpc_writer writer; /* the handler writes its value here; nothing: void */
    struct vt_sim_job *job;         /* set by a handler whose effect takes time */
    bool deferred;                  /* the handler will answer the ticket itself */
};

typedef bool (*vt_sim_handler)(struct vt_sim_call *call, struct vt_sim_failure *failure);

enum {
    VT_SIM_NO_SESSION = 1, /* the first argument is no session */
    VT_SIM_LOCAL = 2,      /* works with a local session too, and in emergency mode */
    VT_SIM_BARE = 4,       /* no envelope around the value */
};

struct vt_sim_method {
    const char *name;
    uint8_t min, max; /* arguments, the session not counted */
    uint8_t flags;
    vt_sim_handler handler;
};

/* Each of these tables ends with a NULL name. */
extern const struct vt_sim_method vt_sim_session_methods[], vt_sim_event_methods[],
    vt_sim_task_methods[], vt_sim_vm_methods[], vt_sim_snapshot_methods[], vt_sim_host_methods[],
    vt_sim_pool_methods[], vt_sim_join_methods[], vt_sim_storage_methods[], vt_sim_other_methods[];

/* get_all, get_record, set_<field> and the like; out_known: the method exists. generic.c */
bool vt_sim_generic(struct vt_sim_call *call, uint32_t given, bool *out_known,
                    struct vt_sim_failure *failure);
void vt_sim_generic_names(struct vt_xmlrpc_writer *writer);

const char *vt_sim_arg(const struct vt_sim_call *call, uint32_t index); /* "" when it is no text */
/* NULL with HANDLE_INVALID [class, ref]. */
struct vt_sim_object *vt_sim_arg_object(struct vt_sim_call *call, uint32_t index,
                                        enum vt_sim_class class, struct vt_sim_failure *failure);
void vt_sim_put_ref(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db, uint32_t id);
void vt_sim_put_field(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                      const struct vt_sim_object *object, enum vt_sim_field field);
void vt_sim_put_record(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                       const struct vt_sim_object *object);

/* Answers a deferred call: value NULL is void. */
void vt_sim_answer(struct vt_sim_world *world, uint64_t ticket, const struct vt_buf *value);
void vt_sim_answer_failure(struct vt_sim_world *world, uint64_t ticket,
                           const struct vt_sim_failure *failure);
/* A failed login answers late: XAPI waits 5 s against guessing. */
bool vt_sim_answer_later(struct vt_sim_call *call, int64_t ms,
                         const struct vt_sim_failure *failure);

/* ---- events (events.c) ---- */

void vt_sim_look(
    struct vt_sim_world *world); /* after every step: blocked event.from calls see what changed */
void vt_sim_waiters_fail(struct vt_sim_pool *pool,
                         const char *code); /* every blocked call ends with the code */
struct vt_sim_object *vt_sim_message(struct vt_sim_pool *pool, const char *name, const char *cls,
                                     const char *uuid, const char *body);

/* ---- jobs and their tasks (jobs.c) ---- */

struct vt_sim_job;
typedef bool (*vt_sim_finish)(struct vt_sim_job *job, struct vt_sim_failure *failure);

struct vt_sim_job {
    struct vt_sim_job *next;
    struct vt_sim_pool *pool;
    uint32_t task, object, host, other; /* ids: the task, what is worked on, operands */
    bool flag;                          /* an operand */
    char *text;                         /* an operand */
    const char *operation;              /* in current_operations of the object; NULL: none */
    vt_sim_finish finish;
    bool resumes; /* the VM is suspended until the end */
    uint64_t ticket; /* of a synchronous call; 0: asynchronous */
    uint32_t step;   /* quarters done */
    int64_t duration;
    uint32_t result;  /* id of what was made; 0: void */
    char *result_xml; /* of an asynchronous call without effect in time */
    bool uncancellable, cancelled, dead, hangs;
};

/* A job of `ms` at pace 1 on the object, which shows `operation` meanwhile. The call is answered by
 * it. */
struct vt_sim_job *vt_sim_job_start(struct vt_sim_call *call, struct vt_sim_object *object,
                                    const char *operation, int64_t ms, vt_sim_finish finish);
/* A task that is over already. */
uint32_t vt_sim_task_done(struct vt_sim_call *call, const char *result_xml,
                          const struct vt_sim_failure *failure);
void vt_sim_jobs_lost(
    struct vt_sim_pool *pool); /* the daemon died: tasks vanish, nothing is done */
void vt_sim_jobs_of_gone(struct vt_sim_pool *pool, uint32_t object);

/* ---- virtual machines ---- */

/* vm_state.c: may the operation begin? In XAPI's order of checks. */
bool vt_sim_vm_check(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                     const char *operation, struct vt_sim_failure *failure);
void vt_sim_vm_allow(struct vt_sim_pool *pool,
                     struct vt_sim_object *vm); /* recomputes allowed_operations */
/* May the VM boot there? In XAPI's order of reasons. */
bool vt_sim_vm_fits(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                    const struct vt_sim_object *host, struct vt_sim_failure *failure);
int64_t vt_sim_host_free(struct vt_sim_pool *pool, const struct vt_sim_object *host);
/* The best host for it, NULL with NO_HOSTS_AVAILABLE. */
struct vt_sim_object *vt_sim_vm_place(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                                      struct vt_sim_failure *failure);
/* vm_power.c: the VM is in that state from now on. */
void vt_sim_vm_run(struct vt_sim_pool *pool, struct vt_sim_object *vm, struct vt_sim_object *host,
                   bool paused, bool booted);
/* The guest agent reports soon. */
void vt_sim_vm_boot_agent(struct vt_sim_pool *pool, struct vt_sim_object *vm);
void vt_sim_vm_stop(struct vt_sim_pool *pool, struct vt_sim_object *vm, const char *state);
void vt_sim_vm_move(struct vt_sim_pool *pool, struct vt_sim_object *vm, struct vt_sim_object *host);
bool vt_sim_vm_is_real(
    const struct vt_sim_object *vm); /* no template, snapshot or control domain */

/* storage.c */
uint32_t vt_sim_chain_depth(const struct vt_sim_db *db, const struct vt_sim_object *vdi);
int64_t vt_sim_sr_free(const struct vt_sim_object *sr);
void vt_sim_sr_take(struct vt_sim_db *db, struct vt_sim_object *sr, int64_t bytes);
struct vt_sim_object *vt_sim_vdi_snapshot(struct vt_sim_pool *pool, struct vt_sim_object *vdi,
                                          bool is_snapshot, struct vt_sim_failure *failure);
void vt_sim_vdi_destroy(struct vt_sim_pool *pool, struct vt_sim_object *vdi);

/* join.c: makes a rule of joining fail for the host, by its word ("cpu-vendor", "bond" ...) or by
 * an error code. false: no such rule. vt_sim_join_rule: the words in turn, NULL at the end. */
bool vt_sim_break_join(struct vt_sim_machine *machine, const char *word);
const char *vt_sim_join_rule(uint32_t index);

/* ---- guests on the wire (guests.c); all do nothing when no guest listens ---- */

struct vt_sim_guests *vt_sim_guests_new(struct vt_sim_world *world, int epoll, struct vt_err *err);
void vt_sim_guests_free(struct vt_sim_guests *guests);
void vt_sim_guests_refresh(struct vt_sim_pool *pool,
                           struct vt_sim_object *vm); /* state, host or fault changed */
void vt_sim_guests_ready(struct vt_sim_guests *guests,
                         uint32_t index); /* its listener has a caller */
void vt_sim_guests_call_ready(struct vt_sim_guests *guests, uint32_t slot); /* who says something */
