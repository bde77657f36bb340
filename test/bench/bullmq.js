// bullmq.js: jobs a second of one Node process; run by bullmq.sh.
//
//	node bullmq.js ours|plain send|batch|work COUNT JOBS SOCKET
//
// "plain" is BullMQ with the Redis that listens at SOCKET.  "send" has COUNT
// callers send one job at a time, "batch" sends 1,000 at once, and "work" does
// jobs that wait already and have nothing to do, COUNT at a time: BullMQ by its
// concurrency, ours by sessions that take up to 50 with each call and say in the
// next one that they are done.

const [side, operation, countText, jobsText, socket] = process.argv.slice(2)
const count = Number(countText)
const jobs = Number(jobsText)
const batch = 1000

const data = n => ({
	to: `somebody-${n}@example.com`,
	kind: 'order placed',
	order: n,
	note: 'x'.repeat(40)
})

// Run the function of so many callers at once, each until it returns false.
async function each (callers, call) {
	await Promise.all(Array.from({ length: callers }, async (_, caller) => {
		while (await call(caller));
	}))
}

const rateSince = begin =>
	jobs / (Number(process.hrtime.bigint() - begin) / 1e9)

async function ours () {
	const { Client } = require('pg')
	const callers = operation === 'work' ? Math.ceil(count / 50) : count
	const clients = Array.from({ length: callers },
		() => new Client({ host: process.env.PGHOST }))
	const query = (caller, name, text, values) =>
		clients[caller].query({ name, text, values, rowMode: 'array' })
	const sendBatch = n => query(0, 'batch',
		'SELECT count(*) FROM nvent.queue_send_batch($1, ARRAY(' +
		'SELECT * FROM jsonb_array_elements($2::jsonb)))',
		['node', JSON.stringify(
			Array.from({ length: n }, (_, i) => ({ data: data(i) })))])
	let left = jobs

	await Promise.all(clients.map(client => client.connect()))
	await query(0, 'drop', 'SELECT nvent.queue_drop($1)', ['node'])
	await query(0, 'create', 'SELECT nvent.queue_create($1)', ['node'])
	if (operation === 'work') {
		for (let n = 0; n < jobs; n += batch) await sendBatch(batch)
	}

	const most = Math.min(count, 50)
	const done = Array(callers).fill('[]')
	const calls = {
		async send (caller) {
			if (left-- <= 0) return false
			await query(caller, 'send', 'SELECT nvent.queue_send($1, $2)',
				['node', JSON.stringify(data(left))])
			return true
		},
		async batch () {
			if (left <= 0) return false
			await sendBatch(batch)
			left -= batch
			return true
		},
		async work (caller) {
			const { rows } = await query(caller, 'work',
				'SELECT id, attempt, data FROM nvent.queue_work($1, $2, NULL, $3)',
				['node', done[caller], most])
			done[caller] = JSON.stringify(
				rows.map(([id, attempt]) => ({ id: Number(id), attempt })))
			return rows.length > 0
		}
	}
	const begin = process.hrtime.bigint()
	await each(callers, calls[operation])
	return rateSince(begin)
}

async function plain () {
	const { Queue, Worker } = require('bullmq')
	const connection = { path: socket, maxRetriesPerRequest: null }
	const queue = new Queue('node', { connection })
	const addBulk = n => queue.addBulk(
		Array.from({ length: n }, (_, i) => ({ name: 'job', data: data(i) })))
	let left = jobs

	await queue.obliterate({ force: true })
	await queue.waitUntilReady()
	if (operation === 'work') {
		for (let n = 0; n < jobs; n += batch) await addBulk(batch)
	}

	const calls = {
		async send () {
			if (left-- <= 0) return false
			await queue.add('job', data(left))
			return true
		},
		async batch () {
			if (left <= 0) return false
			await addBulk(batch)
			left -= batch
			return true
		}
	}
	let begin
	if (operation === 'work') {
		const worker = new Worker('node', async () => {},
			{ connection, concurrency: count, autorun: false })

		await worker.waitUntilReady()
		begin = process.hrtime.bigint()
		await new Promise((resolve, reject) => {
			worker.on('completed', () => { if (--left === 0) resolve() })
			worker.on('error', reject)
			worker.run().catch(reject)
		})
	} else {
		begin = process.hrtime.bigint()
		await each(count, calls[operation])
	}
	return rateSince(begin)
}

(side === 'ours' ? ours : plain)().then(rate => {
	console.log(rate.toFixed(1))
	process.exit(0)
}).catch(error => {
	console.error(error)
	process.exit(1)
})
