/* dicom/guard.hh: no exception leaves the bridge.
 *
 * Every entry point of a .cc file is extern "C" and one call of guarded:
 *
 *   bool vt_dataset_remove(struct vt_dataset *data_set, const char *path, struct vt_err *err)
 *   {
 *       return guarded(err, [&] { ... return vt_fail(err, VT_E_NOTFOUND, "no %s", path); ... return true; });
 *   }
 *
 * The lambda gives what the entry gives: bool, or a pointer with NULL for failure. Want of memory becomes
 * VT_E_NOMEM, any other exception VT_E_INTERNAL with its words; the result is then false or NULL.
 * failed(err, code, condition, what) turns an OFCondition into an error. C++ only; included by .cc files alone. */
#pragma once

#include <exception>
#include <new>
#include <type_traits>

#include "core/err.h"

namespace vt {

template <typename Work>
auto guarded(struct vt_err *err, Work &&work) noexcept -> decltype(work())
{
    using result = decltype(work());
    static_assert(std::is_same_v<result, bool> || std::is_pointer_v<result>,
                  "an entry of the bridge gives bool or a pointer");
    try {
        return work();
    } catch (const std::bad_alloc &) {
        vt_fail(err, VT_E_NOMEM, "out of memory");
    } catch (const std::exception &problem) {
        vt_fail(err, VT_E_INTERNAL, "unexpected: %s", problem.what());
    } catch (...) {
        vt_fail(err, VT_E_INTERNAL, "unexpected exception");
    }
    return result{};
}

/* For entries that cannot fail, such as _free. */
template <typename Work>
void quietly(Work &&work) noexcept
{
    try {
        work();
    } catch (...) {
    }
}

/* `condition` is an OFCondition; a template so that this file needs no DCMTK header. Returns false. */
template <typename Condition>
bool failed(struct vt_err *err, enum vt_code code, const Condition &condition, const char *what)
{
    return vt_fail(err, code, "%s: %s", what, condition.text());
}

}
