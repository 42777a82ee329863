// script COMMAND …: what AssemblyScript's runtime makes of WASI, by way of its shim.
function main(): void {
  const args = process.argv;
  const command = args.length > 1 ? args[1] : '';
  if (command == 'args') {
    console.log(args.length.toString());
    for (let at = 1; at < args.length; at++) console.log(args[at]);
  } else if (command == 'environ') {
    const names = process.env.keys().sort();
    for (let at = 0; at < names.length; at++) console.log(names[at] + '=' + process.env.get(names[at]));
  } else if (command == 'cat') {
    const buffer = new ArrayBuffer(1000);
    for (;;) {
      const count = process.stdin.read(buffer);
      if (count <= 0) break;
      process.stdout.write(buffer.slice(0, count));
    }
  } else if (command == 'random') {
    const bytes = new Uint8Array(1000);
    crypto.getRandomValues(bytes);
    const seen = new Set<u8>();
    for (let at = 0; at < bytes.length; at++) seen.add(bytes[at]);
    console.log(seen.size > 200 ? 'random' : 'not random');
    crypto.getRandomValues(new Uint8Array(0));
    console.log(Math.random() == Math.random() ? 'twice' : 'once');
  } else if (command == 'clock') {
    const began = performance.now();
    console.log(Date.now() > 1600000000000 ? 'this century' : 'another time');
    console.log(performance.now() >= began ? 'onwards' : 'backwards');
    console.log(process.hrtime() > 0 ? 'counted' : 'not counted');
  } else if (command == 'exit') {
    console.error('leaving');
    process.exit(i32.parse(args[2]));
  } else if (command == 'throw') {
    throw new Error('on purpose');
  } else {
    console.error('script args … | environ | cat | random | clock | exit CODE | throw');
    process.exit(2);
  }
}
main();
