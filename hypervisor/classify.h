/* hypervisor/classify.h: why does a VM not answer? A pure function from facts to a class.
 *
 * Whether a VM answers is judged from outside, by probes (hypervisor/probe.h); what the pool says
 * only explains a silence. The questions are asked in a fixed order, the cheapest excuse first: is
 * it us, can the pool be asked at all, does the VM run, is something being done with it, is it the
 * host, is it the link. What is left is the VM's own network: VT_LOSS_NETWORK_LOST, the only class
 * that is followed by a snapshot. docs/monitoring.md explains every class. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are kept in databases: a new one goes to the end. */
enum vt_loss {
    VT_LOSS_NONE,          /* reachable */
    VT_LOSS_UNMONITORABLE, /* no address is known: neither up nor down */
    VT_LOSS_OPERATION,     /* something is being done with it, or was a moment ago */
    VT_LOSS_SHUT_DOWN,     /* halted, or no longer in the pool */
    VT_LOSS_SUSPENDED,     /* suspended or paused */
    VT_LOSS_MIGRATING,     /* on its way to another host, or just arrived */
    VT_LOSS_MAINTENANCE,   /* in a window in which nothing is judged */
    VT_LOSS_ISOLATED,      /* the monitor's own network */
    VT_LOSS_CONTROL_LOST,  /* the pool does not answer: nobody can tell a loss from a shutdown */
    VT_LOSS_HOST_LOST,     /* its host */
    VT_LOSS_LINK_LOST,     /* the link or network that several VMs share */
    VT_LOSS_SERVICE_DOWN,  /* the network is up, the service is not there */
    VT_LOSS_NETWORK_LOST,  /* its own network */
    VT_LOSSES,
};

/* "network-lost": for people, JSON and the database. */
const char *vt_loss_name(enum vt_loss loss);
/* VT_LOSSES when there is none of that name. */
enum vt_loss vt_loss_find(const char *name);
/* Does the class open an incident? The others excuse a silence. */
bool vt_loss_is_incident(enum vt_loss loss);
/* Is the incident shared: one for all VMs that the same cause took? */
bool vt_loss_is_shared(enum vt_loss loss);

/* What the probes say. A silence has lasted for the threshold. */
enum vt_reach { VT_REACH_NO_ADDRESS, VT_REACH_ANSWERS, VT_REACH_REFUSED, VT_REACH_SILENT };

/* Of what XAPI calls current_operations, and of what is going to happen behind them. */
enum vt_doing {
    VT_DOING_NOTHING,
    VT_DOING_MIGRATION,
    VT_DOING_OTHER, /* start, shutdown, reboot, suspend, snapshot, checkpoint, revert ... */
};

/* Why a silence is expected for a while. */
enum vt_settling {
    VT_SETTLING_NOT,
    VT_SETTLING_START,
    VT_SETTLING_RESUME,
    VT_SETTLING_MOVE,
    VT_SETTLING_WORK
};

enum vt_truth { VT_UNKNOWN, VT_NO, VT_YES };

/* A set of VMs that share something, as the probes see them now. */
struct vt_share {
    uint32_t watched; /* judged at all: running, with an address */
    uint32_t silent;  /* of these, without an answer since their last probe or longer */
};

struct vt_facts {
    enum vt_reach reach;
    bool isolated; /* our own network does not work: every anchor is silent */
    bool control;  /* the pool answers */
    bool known;    /* the pool has this VM */
    int power;     /* enum vt_power; 0: unknown */
    enum vt_doing doing;
    enum vt_settling settling;
    bool maintenance;
    enum vt_truth host_live;    /* as the pool says (host_metrics.live) */
    enum vt_truth host_answers; /* as its own address says */
    enum vt_truth carrier;      /* of the host's interface into the VM's network */
    struct vt_share host;       /* VMs of the same host */
    struct vt_share link;       /* VMs of the same network on the same host */
    struct vt_share network;    /* VMs of the same network on all hosts */
    bool unplugged;             /* every virtual interface is detached */
    bool blocked;               /* by the interface's locking mode */
    bool withdrawn;             /* the guest agent took its addresses back */
};

struct vt_classify_limits {
    uint32_t share_min;     /* so many silent VMs make a link-lost ... */
    uint32_t share_percent; /* ... when they are more than this part of the watched ones */
};

enum { VT_SHARE_MIN = 3, VT_SHARE_PERCENT = 50 };
extern const struct vt_classify_limits vt_classify_defaults;

struct vt_verdict {
    enum vt_loss loss;
    const char *reason; /* one clause, static */
};

struct vt_verdict vt_classify(const struct vt_facts *facts,
                              const struct vt_classify_limits *limits);

/* How XAPI's name of an operation counts: "pool_migrate" is a migration; those that do not touch
 * the guest (changing a description, a console) count as nothing. */
enum vt_doing vt_doing_of(const char *operation);
