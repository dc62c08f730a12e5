// What the scenario asks of npm's xen-api: node client.mjs URL-OF-A-SLAVE CTL-PROGRAM PORT. Exit 0: all held.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'xen-api'

const [url, program, port] = process.argv.slice(2)
const ctl = (...words) => execFileSync(program, ['ctl', '--port', port, ...words])
const until = async (what, condition) => {
  for (let i = 0; i < 3000; i++) {      // 60 s: a loaded machine is slow, not wrong
    if (condition()) return
    await sleep(20)
  }
  throw new Error(`${what} did not come true`)
}

// eventPollDelay: the client's pause after a failure of its own, a minute otherwise. It has one when its two loops meet at the
// moment of a new login.
const xapi = createClient({ url, auth: { user: 'root', password: 'vitrine' }, allowUnauthorized: true, debounce: 20, eventPollDelay: 100 })
await xapi.connect()
assert.equal(xapi._url.hostname, '127.0.0.1', 'the slave sent us to its master')

// records: every listed class is fetched into one collection
await xapi.objectsFetched
const all = () => Object.values(xapi.objects.all)
const vms = () => all().filter(o => o.$type === 'VM' && !o.is_a_template && !o.is_a_snapshot && !o.is_control_domain)
const named = name => vms().find(vm => vm.name_label === name)
assert.equal(vms().length, 12)
assert.equal(vms().filter(vm => vm.power_state === 'Running').length, 8)
assert.equal(all().filter(o => o.$type === 'host').length, 3)
assert.equal(typeof named('ws-0001').memory_static_max, 'string')   // XAPI writes integers as text
assert.equal(named('ws-0001').$resident_on.address, '127.0.0.1')
assert.equal((await xapi.getRecordByUuid('VM', named('ws-0001').uuid)).name_label, 'ws-0001')

// events: a change made by a call arrives in the collection
await xapi.setField('VM', named('ws-0001').$ref, 'name_description', 'café <1> & "2"')
await until('the changed description', () => named('ws-0001').name_description === 'café <1> & "2"')
await xapi.setFieldEntry('VM', named('ws-0001').$ref, 'other_config', 'vitrine:incident', '7')
await until('the map entry', () => named('ws-0001').other_config['vitrine:incident'] === '7')

// tasks: callAsync waits for the task and gives its result or its failure
const snapshot = await xapi.callAsync('VM.snapshot', named('ws-0001').$ref, 'by xen-api')
assert.match(snapshot, /^OpaqueRef:/)
assert.equal(await xapi.getField('VM', snapshot, 'is_a_snapshot'), true)
assert.equal(await xapi.callAsync('VM.clean_shutdown', named('ws-0001').$ref), '')
await until('the halted VM', () => named('ws-0001').power_state === 'Halted')
await assert.rejects(xapi.callAsync('VM.clean_shutdown', named('ws-0001').$ref), error => {
  assert.equal(error.code, 'VM_BAD_POWER_STATE')
  assert.deepEqual(error.params.slice(1), ['running', 'halted'])
  return true
})
ctl('fail-next-task', 'SR_BACKEND_FAILURE_44')
await assert.rejects(xapi.callAsync('VM.snapshot', named('ws-0001').$ref, 'no'), { code: 'SR_BACKEND_FAILURE_44' })

// a VM comes and goes
const clone = await xapi.callAsync('VM.clone', named('ws-0003').$ref, 'ws-clone')
await until('the clone', () => named('ws-clone'))
await xapi.callAsync('VM.destroy', clone)
await until('the end of the clone', () => !named('ws-clone'))

// a lost token and a dead session: the client fetches everything again and goes on
ctl('lose-events')
await xapi.setField('VM', named('ws-0002').$ref, 'name_description', 'after the loss')
await until('the change after lost events', () => named('ws-0002').name_description === 'after the loss')
const session = xapi.sessionId
ctl('expire-sessions')
await xapi.setField('VM', named('ws-0002').$ref, 'name_description', 'after the session')
assert.notEqual(xapi.sessionId, session)
await until('the change after a new login', () => named('ws-0002').name_description === 'after the session')

await xapi.disconnect()
console.log('xen-api: login, redirect, records, events, tasks, a lost token and a dead session')
process.exit(0)
