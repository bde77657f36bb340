// Random cron expressions and when cron-parser has them due, as lines for COPY:
// the expression, a zone, a point in time and the next five times after it.
import { CronExpressionParser } from 'cron-parser';

const count = Number(process.argv[2]);
let state = Number(process.argv[3]) | 0;

// A number from 0 to n - 1.
function random(n) {
    state = (state + 0x6D2B79F5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) % n;
}

function between(low, high) {
    return low + random(high - low + 1);
}

function item(low, high) {
    const a = between(low, high);
    const b = between(a, high);
    switch (random(4)) {
        case 0: return `${a}-${b}`;
        case 1: return a < b ? `${a}-${b}/${between(1, high - low)}` : `${a}`;
        default: return `${a}`;
    }
}

function field(low, high, stars) {
    switch (random(10) < stars ? 0 : between(1, 4)) {
        case 0: return '*';
        case 1: return `*/${between(1, high - low)}`;
        case 2: return `${item(low, high)},${item(low, high)}`;
        default: return item(low, high);
    }
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

function dayOfMonth() {
    return random(12) === 0 ? 'L' : field(1, 31, 5);
}

function month() {
    return random(6) === 0 ? months[random(12)] : field(1, 12, 6);
}

function dayOfWeek() {
    switch (random(12)) {
        case 0: return weekdays[random(7)];
        case 1: return `${between(0, 6)}L`;
        case 2: return `${between(0, 6)}#${between(1, 5)}`;
        default: return field(0, 6, 6);
    }
}

const zones = ['UTC', 'Asia/Kathmandu', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'];

for (let n = 0; n < count;) {
    const zone = zones[random(zones.length)];
    const steady = zone === 'UTC' || zone === 'Asia/Kathmandu';
    const day = dayOfMonth();
    const weekday = dayOfWeek();
    if (day.startsWith('*/') && weekday !== '*' || weekday.startsWith('*/') && day !== '*')
        continue;
    const fields = [field(0, 59, 3), steady ? field(0, 23, 4) : item(4, 23), day, month(), weekday];
    if (random(3) === 0)
        fields.unshift(field(0, 59, 2));
    const expression = fields.join(' ');
    const after = new Date(Date.UTC(between(2000, 2035), random(12), between(1, 28), random(24), random(60), random(60)));
    try {
        const due = CronExpressionParser.parse(expression, { tz: zone, currentDate: after }).take(5)
            .map(d => d.toDate().toISOString());
        if (due.length < 5)
            continue;
        console.log([expression, zone, after.toISOString(), `{${due.join(',')}}`].join('\t'));
        n++;
    } catch (error) {
        // Days that no month of it has, and searches that it gives up.
    }
}
