// Loads /model.glb and plays its first clip; the tests drive it through window.player.
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(window.innerWidth, window.innerHeight);
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.background = new THREE.Color(0x8899aa);
scene.add(new THREE.HemisphereLight(0xffffff, 0x555566, 2.0));
const sun = new THREE.DirectionalLight(0xffffff, 2.0);
sun.position.set(1, 2, 3);
scene.add(sun);

const file = await new GLTFLoader().loadAsync("/model.glb");
scene.add(file.scene);
const meshes = [];
file.scene.traverse((thing) => { if (thing.isMesh) meshes.push(thing); });
for (const mesh of meshes) mesh.frustumCulled = false;
const mixer = new THREE.AnimationMixer(file.scene);
let action = null;
choose(0);
let camera = framed();
draw();

function choose(index) {
  if (action) action.stop();
  if (!file.animations[index]) return;
  action = mixer.clipAction(file.animations[index]);
  action.setLoop(THREE.LoopOnce).clampWhenFinished = true;
  action.play();
  mixer.setTime(0);
}

function framed() {
  file.scene.updateMatrixWorld(true);
  const box = new THREE.Box3();
  for (const mesh of meshes) box.union(new THREE.Box3().setFromArray(posedVertices(mesh)));
  const [middle, size] = [box.getCenter(new THREE.Vector3()), box.getSize(new THREE.Vector3())];
  const eye = new THREE.PerspectiveCamera(35, window.innerWidth / window.innerHeight, 0.01, 100);
  eye.position.copy(middle).add(new THREE.Vector3(0.35, 0.1, 1).multiplyScalar(1.9 * Math.max(size.x, size.y, size.z)));
  eye.lookAt(middle);
  return eye;
}

function posedVertices(mesh) {
  const points = new Float32Array(3 * mesh.geometry.attributes.position.count);
  const point = new THREE.Vector3();
  for (let index = 0; index < points.length / 3; index += 1) {
    mesh.getVertexPosition(index, point).applyMatrix4(mesh.matrixWorld).toArray(points, 3 * index);
  }
  return points;
}

function draw() {
  renderer.render(scene, camera);
}

window.player = {
  clips: file.animations.map((clip) => ({ name: clip.name, seconds: clip.duration })),
  joints: meshes.flatMap((mesh) => (mesh.skeleton ? mesh.skeleton.bones.map((bone) => bone.name) : [])),
  morphs: meshes.flatMap((mesh) => Object.keys(mesh.morphTargetDictionary ?? {})),
  textures: meshes.flatMap((mesh) => ["map", "normalMap"].filter((kind) => mesh.material[kind]?.image?.width > 0)),
  materials: meshes.map((mesh) => mesh.material.type),
  choose,
  follow() {
    camera = framed();
    draw();
  },
  setTime(seconds) {
    mixer.setTime(Math.min(seconds, action.getClip().duration));
    file.scene.updateMatrixWorld(true);
    draw();
  },
  posedVertices() {
    const parts = meshes.map((mesh) => Array.from(posedVertices(mesh)));
    return parts.flat();
  },
  playedFrames: (seconds) =>
    new Promise((done) => {
      let frames = 0;
      const start = performance.now();
      const step = () => {
        const now = (performance.now() - start) / 1000;
        if (now > seconds) return done(frames / now);
        frames += 1;
        window.player.setTime(now % action.getClip().duration);
        requestAnimationFrame(step);
      };
      step();
    }),
};
